//! Pauses and their end, with a clock that stands still, and a service that is never sent anything.

use tokio::time::Instant;

use super::*;
use crate::place::{Field, known};

/// Not link-local: each attempt fails at once, without a packet.
fn nowhere() -> Endpoints {
    Endpoints {
        ipv4: ([192, 0, 2, 1], 80).into(),
        aws_ipv6: ([192, 0, 2, 1], 80).into(),
        ..Endpoints::default()
    }
}

fn azure() -> Dmi {
    Dmi {
        chassis_asset_tag: "7783-7084-3265-9085-8269-3286-77".to_owned(),
        ..Dmi::default()
    }
}

#[tokio::test(start_paused = true)]
async fn failing_goes_on_with_growing_pauses_and_ends() {
    let (said, dmi) = (Overrides::default(), azure());
    let (told, mut hears) = watch::channel(known(&said, &dmi));
    let start = Instant::now();
    settle(&said, &dmi, &nowhere(), &told).await;
    let pauses_seconds = 5 + 10 + 20 + 40 + 80 + 160 + 6 * 300;
    assert_eq!(start.elapsed(), Duration::from_secs(pauses_seconds));
    // Thirteen failures for one reason are one piece of news.
    assert!(hears.has_changed().expect("the sender is there"));
    let found = hears.borrow_and_update().clone();
    assert_eq!(found.value(Field::Cloud), Some("azure"));
    assert!(found.has_failed(), "{found}");
}

#[tokio::test(start_paused = true)]
async fn nothing_to_ask_is_over_at_once() {
    let (said, dmi) = (Overrides::default(), Dmi::default());
    let (told, hears) = watch::channel(known(&said, &dmi));
    let start = Instant::now();
    settle(&said, &dmi, &nowhere(), &told).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!hears.has_changed().expect("the sender is there"));
}

#[tokio::test(start_paused = true)]
async fn a_reload_asks_again_with_what_is_said_then() {
    let (said, dmi) = (Overrides::default(), azure());
    let (told, mut hears) = watch::channel(known(&said, &dmi));
    let (reload, overrides) = watch::channel(said.clone());
    let endpoints = nowhere();
    let story = async {
        hears.changed().await.expect("the sender is there");
        assert!(hears.borrow_and_update().has_failed());
        // Everything said: nothing is asked, nothing fails.
        let mut complete = said.clone();
        for text in ["account=a", "region=r", "zone=z", "instance=i"] {
            complete.say(text.parse().expect(text));
        }
        reload.send(complete).expect("the receiver is there");
        hears.changed().await.expect("the sender is there");
        let found = hears.borrow_and_update().clone();
        assert!(!found.has_failed());
        assert_eq!(found.value(Field::Zone), Some("z"));
        // Said no more: asked again.
        reload.send(said.clone()).expect("the receiver is there");
        hears.changed().await.expect("the sender is there");
        assert!(hears.borrow().has_failed());
    };
    tokio::select! {
        () = watch(overrides, &dmi, &endpoints, &told) => unreachable!("it watches without end"),
        () = story => {}
    }
}
