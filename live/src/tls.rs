//! Mutual TLS 1.3: both sides show a certificate of the same authority.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::error::LiveError;
use crate::identity::Identity;

/// An identity, made ready to connect and to be connected to.
#[derive(Clone)]
pub struct Credentials {
    name: Arc<str>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Credentials {
    /// Reads the PEM of `identity`.
    ///
    /// # Errors
    ///
    /// [`LiveError::Identity`] where its parts do not fit together.
    pub fn new(identity: &Identity) -> Result<Credentials, LiveError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Credentials {
            name: identity.name.as_str().into(),
            client: Arc::new(client(identity, Arc::clone(&provider))?),
            server: Arc::new(server(identity, provider)?),
        })
    }

    /// The name in the certificate.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

/// Whether a certificate was made for the host `name`.
pub(crate) fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return false;
    };
    ServerName::try_from(name).is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

fn client(identity: &Identity, provider: Arc<CryptoProvider>) -> Result<ClientConfig, LiveError> {
    let (chain, key) = own(identity)?;
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refuse)?
        .with_root_certificates(roots(identity)?)
        .with_client_auth_cert(chain, key)
        .map_err(refuse)
}

fn server(identity: &Identity, provider: Arc<CryptoProvider>) -> Result<ServerConfig, LiveError> {
    let (chain, key) = own(identity)?;
    let roots = Arc::new(roots(identity)?);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().map_err(refuse)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refuse)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(refuse)?;
    // No session is taken up again, so no tickets for it.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn own(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), LiveError> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(refuse)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(refuse)?;
    Ok((vec![certificate], key))
}

fn roots(identity: &Identity) -> Result<RootCertStore, LiveError> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(identity.authority.as_bytes()).map_err(refuse)?;
    roots.add(authority).map_err(refuse)?;
    Ok(roots)
}

fn refuse(error: impl std::fmt::Display) -> LiveError {
    LiveError::Identity { what: "use the identity".into(), reason: error.to_string() }
}
