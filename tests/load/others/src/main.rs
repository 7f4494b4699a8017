//! The server of webrtc-rs' `turn`, on one thread:
//! `webrtc-rs-turn LISTEN RELAY_IP MIN_PORT MAX_PORT REALM USER PASSWORD`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use turn::auth::{AuthHandler, generate_auth_key};
use turn::relay::relay_range::RelayAddressGeneratorRanges;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use webrtc_util::vnet::net::Net;

/// Knows one user.
struct OneUser {
    name: String,
    key: Vec<u8>,
}

impl AuthHandler for OneUser {
    fn auth_handle(
        &self,
        username: &str,
        _realm: &str,
        _source: SocketAddr,
    ) -> Result<Vec<u8>, turn::Error> {
        if username == self.name {
            Ok(self.key.clone())
        } else {
            Err(turn::Error::ErrFakeErr)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, relay, min_port, max_port, realm, user, password] = &arguments[..] else {
        return Err("LISTEN RELAY_IP MIN_PORT MAX_PORT REALM USER PASSWORD".into());
    };
    let relay_address: IpAddr = relay.parse()?;
    let _server = Server::new(ServerConfig {
        conn_configs: vec![ConnConfig {
            conn: Arc::new(UdpSocket::bind(listen).await?),
            relay_addr_generator: Box::new(RelayAddressGeneratorRanges {
                relay_address,
                min_port: min_port.parse()?,
                max_port: max_port.parse()?,
                max_retries: 100,
                address: relay.clone(),
                net: Arc::new(Net::new(None)),
            }),
        }],
        realm: realm.clone(),
        auth_handler: Arc::new(OneUser {
            name: user.clone(),
            key: generate_auth_key(user, realm, password),
        }),
        channel_bind_timeout: Duration::from_secs(0),
        alloc_close_notify: None,
    })
    .await?;
    std::future::pending().await
}
