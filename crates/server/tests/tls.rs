//! Clients that encrypt, and show who they are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windlass_server::{ClientCertificates, Config, Error, Server, Tls};

use crate::{Running, any_port, check, memory};

/// An authority, and certificates of it for the server and for a client; a stranger is nobody's.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let papers = Self { folder: tempfile::tempdir().expect("a folder") };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
        let make = |name: &str, more: &[&str]| {
            let (certificate, key_file) = (papers.path(name, "crt"), papers.path(name, "key"));
            let mut openssl = Command::new("openssl");
            openssl.args(["req", "-x509"]).args(key).args(["-subj", &format!("/CN={name}")]).args(more);
            openssl.arg("-keyout").arg(key_file).arg("-out").arg(certificate);
            let made = openssl.output().expect("`openssl` is installed, it makes the certificates");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        make("authority", &[]);
        let (authority, authority_key) = (papers.path("authority", "crt"), papers.path("authority", "key"));
        let signed = ["-CA", text(&authority), "-CAkey", text(&authority_key)];
        let leaf =
            ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost"];
        for name in ["server", "client"] {
            make(name, &[&signed[..], &leaf[..]].concat());
        }
        make("stranger", &leaf);
        papers
    }

    fn path(&self, name: &str, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{kind}"))
    }

    fn server(&self, clients: ClientCertificates) -> Config {
        let tls = Tls {
            cert_file: self.path("server", "crt"),
            key_file: self.path("server", "key"),
            ca_file: Some(self.path("authority", "crt")),
            clients,
        };
        Config { tls_tcp: vec!["127.0.0.1:0".into()], tls: Some(tls), ..any_port() }
    }

    /// Connects, by the certificate of `name` if there is one.
    async fn connect(&self, server: &Running, name: Option<&str>) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.path("authority", "crt")).expect("it was made");
        roots.add(authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(self.path(name, "crt")).expect("it was made")];
                let key = PrivateKeyDer::from_pem_file(self.path(name, "key")).expect("it was made");
                builder.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        };
        let stream = TcpStream::connect(&server.addresses[1]).await?;
        let host = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(host, stream).await
    }

    /// Whether a client with the certificate of `name` is answered. A refusal arrives with the first read.
    async fn is_served(&self, server: &Running, name: Option<&str>) -> bool {
        let Ok(mut client) = self.connect(server, name).await else { return false };
        let mut reply = [0; 7];
        client.write_all(b"PING\r\n").await.is_ok()
            && client.read_exact(&mut reply).await.is_ok()
            && reply == *b"+PONG\r\n"
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[tokio::test]
async fn clients_are_served_in_the_clear_and_encrypted() {
    let papers = Papers::new();
    let server = Running::start(papers.server(ClientCertificates::Unasked));
    let mut plain = server.connect().await;
    check(&mut plain, "SET k v\r\n", "+OK\r\n").await;
    let mut client = papers.connect(&server, None).await.expect("the server is who it says");
    check(&mut client, "GET k\r\n", "$1\r\nv\r\n").await;
    // More than fits in the buffers between them, both ways.
    let long = "x".repeat(8 << 20);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{long}\r\n", long.len());
    check(&mut client, &set, "+OK\r\n").await;
    check(&mut client, "GET k\r\n", &format!("${}\r\n{long}\r\n", long.len())).await;
    check(&mut client, "QUIT\r\n", "+OK\r\n").await;
    assert_eq!(client.read(&mut [0; 1]).await.expect("a clean end"), 0);
    server.stop().await;
}

#[tokio::test]
async fn clients_must_show_a_certificate_of_the_authority() {
    let papers = Papers::new();
    for (clients, without, with, strange) in [
        (ClientCertificates::Required, false, true, false),
        (ClientCertificates::Optional, true, true, false),
        (ClientCertificates::Unasked, true, true, true),
    ] {
        let server = Running::start(papers.server(clients));
        let found = (
            papers.is_served(&server, None).await,
            papers.is_served(&server, Some("client")).await,
            papers.is_served(&server, Some("stranger")).await,
        );
        assert_eq!(found, (without, with, strange), "{clients:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn who_speaks_in_the_clear_to_the_encrypted_port_runs_nothing() {
    let papers = Papers::new();
    let server = Running::start(papers.server(ClientCertificates::Unasked));
    let mut client = TcpStream::connect(&server.addresses[1]).await.expect("it listens");
    client.write_all(b"SET k v\r\n").await.expect("the server reads");
    let mut said = Vec::new();
    let _ = client.read_to_end(&mut said).await;
    check(&mut server.connect().await, "EXISTS k\r\n", ":0\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_named() {
    let papers = Papers::new();
    let empty = papers.path("empty", "crt");
    std::fs::write(&empty, "nothing").expect("the file is written");
    let right = papers.server(ClientCertificates::Required).tls.expect("set above");
    let cases = [
        (Tls { cert_file: papers.path("no", "crt"), ..right.clone() }, "no.crt", "certificates in PEM form"),
        (Tls { cert_file: empty.clone(), ..right.clone() }, "empty.crt", "certificates in PEM form"),
        (Tls { key_file: empty.clone(), ..right.clone() }, "empty.crt", "the key of the certificate"),
        (
            Tls { key_file: papers.path("client", "key"), ..right.clone() },
            "server.crt",
            "the key must be that",
        ),
        (Tls { ca_file: Some(empty), ..right.clone() }, "empty.crt", "certificates in PEM form"),
    ];
    for (tls, name, what) in cases {
        let config = Config { tls: Some(tls), ..papers.server(ClientCertificates::Required) };
        let error = Server::bind(config, memory()).err().expect("it cannot be used");
        assert!(matches!(&error, Error::Tls { path, .. } if path.ends_with(name)), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    let config =
        Config { tls: Some(Tls { ca_file: None, ..right }), ..papers.server(ClientCertificates::Required) };
    let error = Server::bind(config, memory()).err().expect("nobody could come in").to_string();
    assert!(error.contains("`tls.ca_file` must say whose clients are let in"), "{error}");
}
