//! temporary
use observer_core::aggregate::Snapshot;
use std::sync::{Arc, Mutex};
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Snapshot>>);
impl Shared {
    pub fn publish(&self, s: Snapshot) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = s;
    }
}
pub mod server {
    use anyhow::Result;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    pub async fn bind(a: SocketAddr) -> Result<tokio::net::TcpListener> {
        let l = tokio::net::TcpListener::bind(a).await?;
        Ok(l)
    }
    pub async fn serve(l: tokio::net::TcpListener, s: super::Shared) {
        eprintln!(
            "observer: serving http://{}/metrics",
            l.local_addr().expect("a")
        );
        while let Ok((mut c, _)) = l.accept().await {
            let mut b = [0; 1024];
            let _ = c.read(&mut b).await;
            let t = {
                let g =
                    s.0.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                serde_json::to_string(&g.balances).expect("j")
            };
            let _ = c
                .write_all(format!("HTTP/1.0 200 OK\r\n\r\n{t}").as_bytes())
                .await;
        }
    }
}
