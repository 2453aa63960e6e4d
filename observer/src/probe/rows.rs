//! The rows of the kernel's uplink tables. A pinned table keeps each device at its row; a row is taken from its device
//! only where no other is left and nothing counts for that device any more.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use observer_ebpf::abi;

use super::{
    device::{Device, own_namespace},
    take, uplink,
};

/// An [`abi::UplinkKey`] as it lies in the map.
type Key = [u8; size_of::<abi::UplinkKey>()];

pub struct UplinkRows {
    keys: HashMap<MapData, Key, u32>,
    configs: Array<MapData, [u8; size_of::<abi::UplinkConfig>()]>,
    /// Of this start's devices.
    wanted: Vec<Key>,
    pins: Option<PathBuf>,
}

/// Where a device stands in the tables.
pub struct Row {
    pub index: u32,
    pub is_new: bool,
}

/// How a device comes to its row, which is `index + 1` in the map.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Known(u32),
    Free(u32),
    /// After its device is taken out.
    Taken(u32, Key),
}

impl UplinkRows {
    /// The tables, for all the devices of this start.
    ///
    /// # Errors
    /// Where the object has no such maps.
    pub fn open(ebpf: &mut Ebpf, devices: &[Device], pins: Option<&Path>) -> Result<Self> {
        Ok(Self {
            keys: HashMap::try_from(take(ebpf, "UPLINKS")?)?,
            configs: Array::try_from(take(ebpf, "UPLINK_CONFIGS")?)?,
            wanted: devices.iter().map(key).collect(),
            pins: pins.map(Path::to_owned),
        })
    }

    /// The device's row, new or as before.
    ///
    /// # Errors
    /// Where no row is left, or the kernel refuses.
    pub fn enter(&mut self, device: &Device) -> Result<Row> {
        let key = key(device);
        let entries: Vec<(Key, u32)> = self.keys.iter().filter_map(Result::ok).collect();
        let may_take = |key: &Key, row| self.may_take(key, row);
        let choice = choose(&entries, &key, &self.wanted, may_take).context(
            "all rows of the pinned uplink table are taken; start over with `observer detach`",
        )?;
        let (row, is_new) = match choice {
            Choice::Known(row) => (row, false),
            Choice::Free(row) => (row, true),
            Choice::Taken(row, earlier) => {
                if let Some(pins) = &self.pins {
                    uplink::unpin(row - 1, pins)?;
                }
                self.keys
                    .remove(&earlier)
                    .context("take an earlier uplink out")?;
                (row, true)
            }
        };
        let mut config = [0; size_of::<abi::UplinkConfig>()];
        config[..4].copy_from_slice(&device.link_header.to_ne_bytes());
        config[4..8].copy_from_slice(&u32::from(device.cuts_udp).to_ne_bytes());
        self.configs
            .set(row - 1, config, 0)
            .context("write the uplink's row")?;
        self.keys.insert(key, row, 0).context("enter the uplink")?;
        Ok(Row {
            index: row - 1,
            is_new,
        })
    }

    /// Whether nothing counts into the row once its pins are gone. A filter stays as long as its device.
    fn may_take(&self, key: &Key, row: u32) -> bool {
        let pinned = |pins: &PathBuf| uplink::is_pinned(row - 1, pins);
        self.pins.as_ref().is_some_and(pinned) || is_gone(key)
    }
}

fn key(device: &Device) -> Key {
    let mut key = Key::default();
    key[..8].copy_from_slice(&device.netns_cookie.to_ne_bytes());
    key[8..12].copy_from_slice(&device.ifindex.to_ne_bytes());
    key
}

/// Whether the key's device was in the agent's own namespace and is there no more; others cannot be looked at.
fn is_gone(key: &Key) -> bool {
    let own = own_namespace().is_some_and(|(cookie, _)| key[..8] == cookie.to_ne_bytes());
    let ifindex = key[8..12].try_into().map_or(0, u32::from_ne_bytes);
    // nix 0.31 takes the null pointer of a failure for success, with an empty name.
    let name = nix::net::if_::if_indextoname(ifindex);
    own && !name.is_ok_and(|name| !name.is_empty())
}

/// The row for `key`; `None` where all are taken by `wanted` devices, or by such as still count into them.
fn choose(
    entries: &[(Key, u32)],
    key: &Key,
    wanted: &[Key],
    may_take: impl Fn(&Key, u32) -> bool,
) -> Option<Choice> {
    if let Some((_, row)) = entries.iter().find(|(entered, _)| entered == key) {
        return Some(Choice::Known(*row));
    }
    let is_used = |row: &u32| entries.iter().any(|(_, used)| used == row);
    if let Some(row) = (1..=abi::UPLINKS_MAX).find(|row| !is_used(row)) {
        return Some(Choice::Free(row));
    }
    entries
        .iter()
        .find(|(entered, row)| !wanted.contains(entered) && may_take(entered, *row))
        .map(|(entered, row)| Choice::Taken(*row, *entered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ifindex: u8) -> Key {
        let mut key = Key::default();
        key[8] = ifindex;
        key
    }

    fn full() -> Vec<(Key, u32)> {
        (1..=8).map(|row| (device(row), row.into())).collect()
    }

    #[test]
    fn a_device_keeps_its_row_and_a_new_one_takes_a_free_one() {
        let entries = full();
        let never = |_: &Key, _| false;
        assert_eq!(
            choose(&entries, &device(3), &[], never),
            Some(Choice::Known(3))
        );
        let free = choose(&entries[..5], &device(20), &[], never);
        assert_eq!(free, Some(Choice::Free(6)));
    }

    #[test]
    fn a_full_table_gives_the_row_of_a_device_that_is_no_uplink_any_more() {
        let entries = full();
        let new = device(20);
        let wanted = [device(1), device(2), new];
        assert_eq!(choose(&entries, &new, &wanted, |_, _| false), None);
        let taken = choose(&entries, &new, &wanted, |_, _| true);
        assert_eq!(taken, Some(Choice::Taken(3, device(3))));
        let taken = choose(&entries, &new, &wanted, |_, row| row == 7);
        assert_eq!(taken, Some(Choice::Taken(7, device(7))));
    }

    #[test]
    fn only_devices_of_this_namespace_are_known_to_be_gone() {
        let Some((cookie, _)) = own_namespace() else {
            return;
        };
        let mut key = Key::default();
        key[8..12].copy_from_slice(&(i32::MAX as u32).to_ne_bytes());
        assert!(!is_gone(&key), "another namespace's");
        key[..8].copy_from_slice(&cookie.to_ne_bytes());
        assert!(is_gone(&key));
        let loopback = nix::net::if_::if_nametoindex("lo").expect("the loopback device");
        key[8..12].copy_from_slice(&loopback.to_ne_bytes());
        assert!(!is_gone(&key));
    }
}
