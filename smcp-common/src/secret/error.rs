//! Why a secret can be neither sealed nor opened.

use std::path::PathBuf;

use super::KeyId;

/// Secrets that cannot be used. Each message says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// The file that should hold the key cannot be used.
    #[error("the key of the secrets in {} cannot be used: {problem}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file holds another key than the one that is needed.
    #[error(
        "{} holds the key {found}, but the stored secrets are sealed under the key {needed}: put the file with that key \
         back, or name it by SMCP_SECRETS_KEY_FILE; where it is lost, remove the secrets (smcp secrets remove) and set \
         them anew",
        path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The id of its key.
        found: KeyId,
        /// The id of the key that is needed.
        needed: KeyId,
    },
    /// What was sealed is not what was stored, or was stored elsewhere.
    #[error(
        "{what} cannot be opened: somebody has changed it outside of SMCP; set it anew, or restore a backup"
    )]
    Damaged {
        /// What it is.
        what: String,
    },
    /// A key is being replaced.
    #[error(
        "another process replaces the key of the secrets just now; look whether it has done so, and try again"
    )]
    Rotating,
    /// A key that SMCP cannot write.
    #[error(
        "the key of the secrets comes from the systemd credential {}, which SMCP cannot replace: copy it to a file, \
         start SMCP with SMCP_SECRETS_KEY_FILE naming that file, rotate, and make the new key the credential",
        .0.display()
    )]
    Credential(PathBuf),
}
