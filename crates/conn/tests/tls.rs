//! A server that speaks TLS: who it is is checked, and a refusal says why.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use windlass_conn::{Config, Connection, Error};

use crate::server::Server;

/// What is to be done when a server's certificate does not hold.
const HINT: &str = "check the address, and that the server speaks TLS with a certificate that this machine trusts; \
                    name the certificate of an authority of your own as the CA file";

/// A certificate that nobody but its maker trusts, and its key.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let certificate = Self { folder: tempfile::tempdir().expect("a folder") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=nobody vouches for this"]);
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(certificate.key()).arg("-out").arg(certificate.path());
        let made = openssl.output().expect("`openssl` is installed, it makes the certificate");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        certificate
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}

/// A port that was free a moment ago.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port().to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

async fn refusal(url: &str) -> String {
    // A server of this machine answers sooner, if it answers at all.
    let config = Config { connect_time: Duration::from_secs(1), ..Config::default() };
    let error = Connection::open_with(url, config).await.err().unwrap_or_else(|| panic!("{url} opens"));
    assert!(matches!(Error::of(&error), Some(Error::Connect { .. })), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let (certificate, port) = (Certificate::new(), free_port());
    let (path, key) = (certificate.path(), certificate.key());
    let files = ["--tls-cert-file", text(&path), "--tls-key-file", text(&key), "--tls-auth-clients", "no"];
    let args = [&["--tls-port", &port][..], &files].concat();
    let Some(server) = Server::start(&args).await else { return };
    for host in ["localhost", "127.0.0.1"] {
        let said = refusal(&format!("rediss://{host}:{port}")).await;
        let expected =
            format!("cannot connect to {host}:{port} (invalid peer certificate: UnknownIssuer): {HINT}");
        assert_eq!(said, expected);
    }
    // It is the trust that is missing: one who is told to trust the certificate is answered.
    let config = Config { ca_file: Some(path), ..Config::default() };
    let mut trusting = Connection::open_with(&format!("rediss://localhost:{port}"), config).await.unwrap();
    let pong: String = redis::cmd("PING").query_async(&mut trusting).await.unwrap();
    assert_eq!(pong, "PONG");
    drop(server);
}

#[tokio::test]
async fn a_ca_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("rediss://{}", listener.local_addr().expect("it is bound"));
    let open = async || {
        let config = Config { ca_file: Some(path.clone()), ..Config::default() };
        Connection::open_with(&url, config).await
    };
    let said = open().await.err().expect("there is no file").to_string();
    assert!(said.contains(&format!("the CA file {}", path.display())), "{said}");
    std::fs::write(&path, "no certificate").expect("the file is written");
    let said = open().await.err().expect("there is no certificate").to_string();
    assert!(said.contains("it holds no certificate in PEM form"), "{said}");
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let port = free_port();
    let Some(server) = Server::start(&["--port", &port]).await else { return };
    let said = refusal(&format!("rediss://127.0.0.1:{port}")).await;
    let hint = "check the address, that the server speaks TLS, and that no firewall stands between";
    assert_eq!(said, format!("cannot connect to 127.0.0.1:{port} (no answer within 1s): {hint}"));
    drop(server);
}

#[tokio::test]
async fn a_server_with_tls_refuses_who_speaks_in_the_clear() {
    let (certificate, port) = (Certificate::new(), free_port());
    let (path, key) = (certificate.path(), certificate.key());
    let args = ["--tls-port", &port, "--tls-cert-file", text(&path), "--tls-key-file", text(&key)];
    let args = [&args[..], &["--tls-auth-clients", "no"]].concat();
    let Some(server) = Server::start(&args).await else { return };
    let said = refusal(&format!("redis://127.0.0.1:{port}")).await;
    assert!(said.starts_with(&format!("cannot connect to 127.0.0.1:{port} (")), "{said}");
    drop(server);
}
