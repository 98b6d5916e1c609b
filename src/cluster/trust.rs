//! The certificates by which instances with HTTPS are trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Where distributions keep the certificates that the machine trusts: Debian and Alpine, Fedora, SUSE.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Makes TLS connections to instances, whose certificates must have the instance's name.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the trusted certificates")
    }
}

impl Trust {
    /// Trusts the certificates in the PEM file `roots`, otherwise those of the machine, otherwise those that this program
    /// contains. The error says which file cannot be used and why.
    pub(crate) fn load(roots: &Path) -> Result<Self, String> {
        Ok(Self(TlsConnector::from(Arc::new(client_config(roots, &[b"http/1.1"])?))))
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

/// Returns the configuration of connections that trust the certificates in the PEM file `roots`, otherwise those of the
/// machine, otherwise those that this program contains, and offer these protocols.
pub(crate) fn client_config(roots: &Path, protocols: &[&[u8]]) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn store(roots: &Path) -> Result<RootCertStore, String> {
    if !roots.as_os_str().is_empty() {
        return read(roots).map_err(|error| format!("{}: {error}", roots.display()));
    }
    let of_the_machine = SYSTEM.iter().find_map(|path| read(Path::new(path)).ok());
    Ok(of_the_machine.unwrap_or_else(|| RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }))
}

fn read(path: &Path) -> Result<RootCertStore, String> {
    let certificates: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.map_err(|error| error.to_string())?);
    if usable == 0 { Err("it contains no certificate".to_owned()) } else { Ok(store) }
}
