//! What a secret may be called, and what it may be.

/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// The smallest value, in bytes: a shorter one would be found in everything that a plugin prints.
pub const MIN_VALUE_BYTES: usize = 4;
const MAX_NAME_BYTES: usize = 128;

/// A name or a value that no secret may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The name could not be that of an environment variable.
    #[error(
        "'{0}' cannot be the name of a secret: it must be letters, digits and _, not begin with a digit, and have at most 128 characters"
    )]
    Name(String),
    /// The value would be found by chance, and hide what it must not.
    #[error(
        "the value has {0} bytes, but must have at least {MIN_VALUE_BYTES}: a shorter one would be struck out of everything that plugins print"
    )]
    Short(usize),
    /// The value is longer than the limit.
    #[error("the value has {0} bytes; the limit is {MAX_VALUE_BYTES}")]
    Long(usize),
    /// The value could be passed to no program.
    #[error("the value has a zero byte, which no environment variable can have")]
    ZeroByte,
}

/// Makes sure that a secret can be called so: `^[A-Za-z_][A-Za-z0-9_]{0,127}$`.
///
/// # Errors
/// [`InvalidSecret::Name`]
pub fn check_name(name: &str) -> Result<(), InvalidSecret> {
    let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_fine = name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(begins)
        && name.bytes().all(goes_on);
    if is_fine {
        return Ok(());
    }
    let shown = name.chars().take(MAX_NAME_BYTES).collect();
    Err(InvalidSecret::Name(shown))
}

/// Makes sure that a secret can have that value.
///
/// # Errors
/// [`InvalidSecret`]; it does not repeat the value.
pub fn check_value(value: &str) -> Result<(), InvalidSecret> {
    match value.len() {
        short if short < MIN_VALUE_BYTES => Err(InvalidSecret::Short(short)),
        long if long > MAX_VALUE_BYTES => Err(InvalidSecret::Long(long)),
        _ if value.contains('\0') => Err(InvalidSecret::ZeroByte),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_variable() {
        let long = "A".repeat(128);
        for name in ["A", "_", "api_key2", &long] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let longer = "A".repeat(129);
        for name in ["", "2A", "A-B", "A B", "Ä", "A=", &longer] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_value_is_text_of_a_sensible_length() {
        assert_eq!(check_value("abc"), Err(InvalidSecret::Short(3)));
        assert_eq!(check_value("abcd"), Ok(()));
        assert_eq!(check_value("ab\0cd"), Err(InvalidSecret::ZeroByte));
        let most = "x".repeat(MAX_VALUE_BYTES);
        assert_eq!(check_value(&most), Ok(()));
        let more = most + "x";
        assert_eq!(
            check_value(&more),
            Err(InvalidSecret::Long(MAX_VALUE_BYTES + 1))
        );
    }
}
