//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// The client's address: the other end of the connection or, behind a proxy, what that says last.
pub(super) fn client(behind_proxy: bool, headers: &HeaderMap, peer: Option<&Peer>) -> IpAddr {
    let direct = peer.map_or(IpAddr::from([0; 4]), |peer| peer.0.ip());
    if !behind_proxy {
        return direct;
    }
    let said = headers.get_all("x-forwarded-for").iter().next_back();
    let last = said.and_then(|said| said.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(direct)
}
