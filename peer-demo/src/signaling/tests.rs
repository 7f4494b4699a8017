use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// It said `received corrupt message of type InvalidContentType`.
#[tokio::test]
async fn a_port_without_tls_is_told_in_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/signal", listener.local_addr().unwrap());
    let url: Uri = url.parse().unwrap();
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
        stream
    };
    let (result, _stream) = tokio::join!(connect(&url), answer);
    let error = format!("{:#}", result.err().unwrap());
    assert!(error.contains("does not speak TLS"), "{error}");
    assert!(error.contains("ws:// instead of wss://"), "{error}");
}
