//! TLS on the listener: certificate and key from PEM files, reloaded when they are renewed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// The certificate in use. If a file cannot be read or does not match, the last good one stays in use.
pub(crate) struct Certificate {
    settings: Tls,
    current: ArcSwap<ServerConfig>,
}

impl Certificate {
    /// Reads the files; the error says which one is wrong and why.
    pub(crate) fn load(settings: &Tls) -> Result<Self, String> {
        Ok(Self { settings: settings.clone(), current: ArcSwap::new(read(settings)?) })
    }

    /// The acceptor for new connections.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Checks the files regularly and loads changed ones. Never returns.
    pub(crate) async fn follow(&self) {
        let mut seen = self.file_state();
        loop {
            tokio::time::sleep(Duration::from_millis(self.settings.reload_ms)).await;
            let now = self.file_state();
            if now != seen {
                self.reload();
            }
            seen = now;
        }
    }

    /// Reads the files again. A certificate that is not usable is logged, and the last one stays in use.
    pub(crate) fn reload(&self) {
        match read(&self.settings) {
            Ok(config) => {
                self.current.store(config);
                tracing::info!(certificate = %self.settings.certificate.display(), "loaded a renewed certificate");
            }
            Err(error) => tracing::warn!(error, "the changed certificate is not usable; the last one stays in use"),
        }
    }

    /// The modification times and lengths of both files, which reveal a change.
    fn file_state(&self) -> [Option<(SystemTime, u64)>; 2] {
        let file_state = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [file_state(&self.settings.certificate), file_state(&self.settings.key)]
    }
}

fn read(settings: &Tls) -> Result<Arc<ServerConfig>, String> {
    let fault = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&settings.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&settings.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| fault(&settings.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fault(&settings.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
