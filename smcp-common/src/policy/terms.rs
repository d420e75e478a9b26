//! The annotations of a rule: its name, and what it asks for.

use cedar_policy::{Effect, Policy};

use super::{Approval, Obligations};
use crate::limit::{Limit, LimitKind, MAX_PERIOD_MS, Rate, period_ms};

/// What annotations say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// `@id`
    pub id: String,
    /// `@message`: what a caller is told whom the rule forbids something.
    pub message: Option<String>,
    /// What a permit asks for.
    pub obligations: Obligations,
}

/// An annotation that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Its name; empty where one is missing.
    pub annotation: String,
    /// What is wrong.
    pub message: String,
}

/// Every annotation that there is, in the order in which documents list them.
const KNOWN: [&str; 13] = [
    "id",
    "description",
    "message",
    "requireApproval",
    "approvals",
    "rate",
    "quota",
    "cooldown",
    "timeout",
    "maxAttempts",
    "maxArguments",
    "dryRunOnly",
    "sandbox",
];

impl Terms {
    /// Reads the annotations of `policy`.
    ///
    /// # Errors
    /// Everything about them that cannot be meant.
    pub(super) fn read(policy: &Policy) -> Result<Self, Vec<Misfit>> {
        let id = policy.annotation("id").unwrap_or_default().to_owned();
        let mut misfits = Vec::new();
        if let Err(message) = check_id(&id) {
            misfits.push(misfit("", message));
        }
        let mut terms = Self {
            message: policy.annotation("message").map(str::to_owned),
            obligations: Obligations::default(),
            id,
        };
        // Cedar's order is no order.
        let mut annotations: Vec<_> = policy.annotations().collect();
        annotations.sort_unstable();
        for (name, value) in annotations {
            if let Err(message) = terms.take(name, value, policy.effect()) {
                misfits.push(misfit(name, message));
            }
        }
        match (
            &mut terms.obligations.approval,
            policy.annotation("approvals"),
        ) {
            (None, Some(_)) => misfits.push(misfit(
                "approvals",
                "needs @requireApproval(\"group\") beside it".to_owned(),
            )),
            (Some(approval), Some(value)) => match at_least_one(value) {
                Ok(approvals) => approval.approvals = approvals,
                Err(message) => misfits.push(misfit("approvals", message)),
            },
            (_, None) => {}
        }
        if misfits.is_empty() {
            Ok(terms)
        } else {
            Err(misfits)
        }
    }

    fn take(&mut self, name: &str, value: &str, effect: Effect) -> Result<(), String> {
        if matches!(name, "id" | "description" | "message") {
            return Ok(());
        }
        if !KNOWN.contains(&name) {
            return Err(format!("is not known; there are: @{}", KNOWN.join(", @")));
        }
        if effect == Effect::Forbid {
            return Err("asks for something, which only a permit can; a forbid takes @id, @description and @message".to_owned());
        }
        let limit = |kind| Limit {
            rule: self.id.clone(),
            kind,
        };
        let obligations = &mut self.obligations;
        match name {
            "requireApproval" if value.is_empty() => {
                return Err(
                    "needs the name of a group, such as @requireApproval(\"operators\")".to_owned(),
                );
            }
            "requireApproval" => {
                obligations.approval = Some(Approval {
                    groups: vec![value.to_owned()],
                    approvals: 1,
                });
            }
            "rate" => obligations
                .limits
                .push(limit(LimitKind::Rate(rate(value)?))),
            "quota" => obligations
                .limits
                .push(limit(LimitKind::Quota(rate(value)?))),
            "cooldown" => obligations
                .limits
                .push(limit(LimitKind::Cooldown(cooldown_ms(value)?))),
            "timeout" => obligations.timeout_ms = Some(duration_ms(value)?),
            "maxAttempts" => obligations.max_attempts = Some(at_least_one(value)?),
            "maxArguments" => obligations.max_arguments_bytes = Some(bytes(value)?),
            "dryRunOnly" if value.is_empty() => obligations.dry_run_only = true,
            "dryRunOnly" => return Err("takes no value".to_owned()),
            "sandbox" if value == "strict" => obligations.strict_sandbox = true,
            "sandbox" => return Err(format!("is \"{value}\", but can only be \"strict\"")),
            // @approvals is read when it is known whether approval is needed.
            _ => {}
        }
        Ok(())
    }
}

fn misfit(annotation: &str, message: String) -> Misfit {
    Misfit {
        annotation: annotation.to_owned(),
        message,
    }
}

fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if id.is_empty() {
        Err("a rule needs a name: @id(\"what-it-does\")".to_owned())
    } else if id.len() > 128 || !id.bytes().all(is_plain) {
        Err(format!(
            "@id(\"{}\") must be 1 to 128 of A-Z a-z 0-9 - _ . : /",
            id.chars().take(128).collect::<String>()
        ))
    } else {
        Ok(())
    }
}

fn at_least_one(value: &str) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("is \"{value}\", but must be a whole number, at least 1"))
}

fn rate(value: &str) -> Result<Rate, String> {
    Rate::parse(value).map_err(|error| format!("cannot be used: {error}"))
}

fn cooldown_ms(value: &str) -> Result<u64, String> {
    period_ms(value).map_err(|error| format!("cannot be used: {error}"))
}

fn duration_ms(value: &str) -> Result<u64, String> {
    let units = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    sized(value, &units)
        // What is added to times must not overflow them.
        .filter(|ms| *ms <= MAX_PERIOD_MS)
        .ok_or_else(|| format!("is \"{value}\", but must be a time up to 366d, such as \"30s\", \"5m\", \"1h\" or \"1d\""))
}

fn bytes(value: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1), ("", 1)];
    sized(value, &units)
        .ok_or_else(|| format!("is \"{value}\", but must be a size, such as \"64KiB\" or \"1MiB\""))
}

/// A whole number above zero with one of these units; the first that fits counts.
fn sized(value: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((value.strip_suffix(unit)?, factor)))?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number
        .parse::<u64>()
        .ok()
        .filter(|number| *number > 0)?
        .checked_mul(*factor)
}
