//! Who a server is to its clients, and whom it lets in.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientCertificates, Tls};
use crate::error::{Error, Result};

const CERTIFICATES: &str = "it must hold one or more certificates in PEM form";
const KEY: &str = "it must hold the key of the certificate in PEM form, without a password";

/// What encrypts connections.
///
/// It names its provider of cryptography, so that it does not depend on which one the program has installed, if any.
///
/// # Errors
/// [`Error::Tls`] with the file that cannot be read or does not fit.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let chain = certificates(&tls.cert_file)?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|error| unusable(&tls.key_file, error, KEY))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of the default versions");
    let builder = match (&tls.ca_file, tls.clients) {
        (_, ClientCertificates::Unasked) | (None, _) => builder.with_no_client_auth(),
        (Some(path), clients) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider);
            let verifier = match clients {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            let verifier = verifier.build().map_err(|error| unusable(path, error, CERTIFICATES))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config =
        builder.with_single_cert(chain, key).map_err(|error| unusable(&tls.cert_file, error, KEY_FITS))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

const KEY_FITS: &str = "the key must be that of its first certificate";

fn authorities(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error, CERTIFICATES))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(path, "there is none", CERTIFICATES)),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, error, CERTIFICATES)),
    }
}

fn unusable(path: &Path, reason: impl std::fmt::Display, what: &'static str) -> Error {
    Error::Tls { path: path.to_owned(), reason: reason.to_string(), what }
}
