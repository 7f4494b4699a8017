//! A STUN server that says what it is told to: what a browser behind a certain NAT would hear.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::net::UdpSocket;

/// RFC 8489, section 5: type and length, the magic cookie, the transaction id.
const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];
const IPV4: u8 = 1;

/// Answers each Binding request with the sender's address and `port`, as long as the test runs. Returns its address.
///
/// # Errors
/// When there is no free port.
pub async fn stun_server_that_sees(port: u16) -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Ok(answer) = answer(&buffer[..length], from, port) {
                // A lost answer is asked for again.
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok(address)
}

fn answer(request: &[u8], from: SocketAddr, port: u16) -> anyhow::Result<Vec<u8>> {
    let header = request.get(..HEADER_BYTES).context("too short")?;
    let IpAddr::V4(address) = from.ip() else {
        anyhow::bail!("it listens on IPv4")
    };
    let mut answer = Vec::from(BINDING_SUCCESS);
    answer.extend([0, 12]);
    answer.extend(&header[4..]);
    answer.extend(XOR_MAPPED_ADDRESS);
    answer.extend([0, 8, 0, IPV4]);
    let plain = port.to_be_bytes().into_iter();
    answer.extend(plain.zip(MAGIC).map(|(byte, key)| byte ^ key));
    let plain = address.octets().into_iter();
    answer.extend(plain.zip(MAGIC).map(|(byte, key)| byte ^ key));
    Ok(answer)
}
