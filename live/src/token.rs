//! Names of hand-overs that nobody can guess.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::LiveError;

/// Names one hand-over, and lets its page connections in: 128 random bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`LiveError::Identity`] where the system gives no random bytes.
    pub fn new() -> Result<Token, LiveError> {
        let mut bytes = [0; 16];
        rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| {
            LiveError::Identity { what: "name a hand-over".into(), reason: "no random bytes".into() }
        })?;
        Ok(Token(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

/// Its first digits, which are enough for people.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}
