//! The programs and what they share: maps, slots, the way a packet's bytes are read.

mod capture;
mod cgroup;
#[cfg(target_arch = "bpf")]
mod company;
mod count;
mod dns;
mod flow;
mod hello;
mod holder;
#[cfg(target_arch = "bpf")]
mod http2;
mod line;
mod look;
mod maps;
mod owner;
mod peek;
#[cfg(target_arch = "bpf")]
mod plaintext;
mod platform;
mod process;
mod quic;
mod read;
mod route;
#[cfg(target_arch = "bpf")]
mod sent;
mod skb;
mod slot;
mod state;
#[cfg(all(feature = "log", target_arch = "bpf"))]
mod tell;
#[cfg(test)]
mod tests;
mod udp;
mod uplink;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers used include ones the kernel gives to GPL-compatible programs only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
