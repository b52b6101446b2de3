//! Whom a `rediss://` connection trusts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Reading what a machine trusts takes milliseconds, so that what was read last is kept.
static LAST: Mutex<Option<(Option<PathBuf>, Arc<ClientConfig>)>> = Mutex::new(None);

/// What encrypts a connection. It trusts the authorities that browsers trust, those of this machine (a file that
/// `SSL_CERT_FILE` names stands for these), and those in `ca_file`.
///
/// # Errors
/// When `ca_file` cannot be read, or holds no certificate.
pub fn connector(ca_file: Option<&Path>) -> io::Result<TlsConnector> {
    let mut last = LAST.lock();
    if let Some((of, config)) = &*last
        && of.as_deref() == ca_file
    {
        return Ok(config.clone().into());
    }
    let config = Arc::new(config(ca_file)?);
    *last = Some((ca_file.map(Path::to_owned), config.clone()));
    Ok(config.into())
}

/// Names its provider of cryptography, so that it does not depend on which one the program has installed, if any.
fn config(ca_file: Option<&Path>) -> io::Result<ClientConfig> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    // A machine without such a list, as a small container, is no fault: the built-in authorities hold.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unusable = |reason: String| io::Error::other(format!("the CA file {}: {reason}", path.display()));
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(unusable("it holds no certificate in PEM form".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
