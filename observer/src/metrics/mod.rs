//! temporary
use observer_core::aggregate::Snapshot;
#[derive(Clone, Default)]
pub struct Shared;
impl Shared {
    pub fn publish(&self, s: Snapshot) {
        eprintln!("{}", observer_core::aggregate::render(&s.balances));
        eprintln!("{:?}", s.losses);
    }
}
pub mod server {
    use anyhow::Result;
    use std::net::SocketAddr;
    pub async fn bind(a: SocketAddr) -> Result<tokio::net::TcpListener> {
        Ok(tokio::net::TcpListener::bind(a).await?)
    }
    pub async fn serve(_l: tokio::net::TcpListener, _s: super::Shared) {}
}
