//! Who may talk to whom: a small certificate authority, and a key for each host.
//!
//! `migtwin live identity` makes them. Who has a certificate of the same authority is trusted with
//! everything, so the authority's file belongs on no host; who has none is told nothing. Certificates
//! carry the host's name, and besides [`ANY_AGENT`], by which one can connect to an address without
//! knowing the name of the host there.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, date_time_ymd};
use serde::{Deserialize, Serialize};

use crate::error::LiveError;

/// The name that every agent's certificate carries beside its own.
pub const ANY_AGENT: &str = "agent.migtwin";

/// The file of the authority, within the directory of identities.
pub const AUTHORITY: &str = "authority.json";

/// More than any identity file has.
const MOST_BYTES: u64 = 64 << 10;

/// A host's key and certificate, and the certificate of the authority that it trusts; all PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The host's name.
    pub name: String,
    /// The authority's certificate.
    pub authority: String,
    /// The host's certificate.
    pub certificate: String,
    /// The host's private key.
    pub key: String,
}

/// The authority: whoever has this can make hosts that all others trust.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authority {
    certificate: String,
    key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    ///
    /// [`LiveError::Identity`] where no key can be made.
    pub fn new() -> Result<Authority, LiveError> {
        let failed = refuse("make an authority");
        let key = KeyPair::generate().map_err(&failed)?;
        let certificate = Authority::parameters().map_err(&failed)?.self_signed(&key).map_err(&failed)?;
        Ok(Authority { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// What the authority's certificate says, but for its key.
    fn parameters() -> Result<CertificateParams, rcgen::Error> {
        let mut parameters = CertificateParams::new(vec![])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.distinguished_name.push(DnType::CommonName, "migtwin authority");
        in_force(&mut parameters);
        Ok(parameters)
    }

    /// A key and a certificate for the host `name`, which must be one as DNS knows them.
    ///
    /// # Errors
    ///
    /// [`LiveError::Identity`] where the name is none, or no key can be made.
    pub fn issue(&self, name: &str) -> Result<Identity, LiveError> {
        let failed = refuse(&format!("make an identity for `{name}`"));
        let signing = KeyPair::from_pem(&self.key).map_err(&failed)?;
        let issuer = Issuer::new(Authority::parameters().map_err(&failed)?, signing);
        let key = KeyPair::generate().map_err(&failed)?;
        let names = vec![name.to_string(), ANY_AGENT.to_string()];
        let mut parameters = CertificateParams::new(names).map_err(&failed)?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        in_force(&mut parameters);
        let certificate = parameters.signed_by(&key, &issuer).map_err(&failed)?;
        Ok(Identity {
            name: name.to_string(),
            authority: self.certificate.clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// Machines of a laboratory may have a clock that is far off; certificates are told apart by their
/// authority, not by their age.
fn in_force(parameters: &mut CertificateParams) {
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2120, 1, 1);
}

fn refuse(what: &str) -> impl Fn(rcgen::Error) -> LiveError + use<> {
    let what = what.to_string();
    move |error| LiveError::Identity { what: what.clone(), reason: error.to_string() }
}

/// Makes an identity for each of `names` in `directory`, by the authority there, or by a new one where
/// there is none yet. Gives the files written. No file that is there is replaced.
///
/// # Errors
///
/// [`LiveError`] where a name is none, or a file is there already or cannot be written.
pub fn make_identities(directory: &Path, names: &[String]) -> Result<Vec<PathBuf>, LiveError> {
    fs::create_dir_all(directory).map_err(LiveError::file("make", directory))?;
    let path = directory.join(AUTHORITY);
    let mut written = Vec::new();
    let authority: Authority = if path.exists() {
        read_json(&path)?
    } else {
        let authority = Authority::new()?;
        write_secret(&path, &authority)?;
        written.push(path);
        authority
    };
    for name in names {
        let path = directory.join(format!("{name}.json"));
        write_secret(&path, &authority.issue(name)?)?;
        written.push(path);
    }
    Ok(written)
}

/// Reads an identity.
///
/// # Errors
///
/// [`LiveError`] where the file cannot be read or is no identity.
pub fn load_identity(path: &Path) -> Result<Identity, LiveError> {
    read_json(path)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LiveError> {
    let length = fs::metadata(path).map_err(LiveError::file("read", path))?.len();
    let stored = |reason: String| LiveError::Stored { path: path.display().to_string(), line: 1, reason };
    if length > MOST_BYTES {
        return Err(stored(format!("it has {length} bytes, which is too long for an identity")));
    }
    let text = fs::read(path).map_err(LiveError::file("read", path))?;
    serde_json::from_slice(&text).map_err(|error| stored(error.to_string()))
}

/// Writes what only its owner may read, where nothing was.
fn write_secret(path: &Path, value: &impl Serialize) -> Result<(), LiveError> {
    let failed = || LiveError::file("write", path);
    let text = serde_json::to_vec_pretty(value).map_err(std::io::Error::from).map_err(failed())?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed())?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed())
}
