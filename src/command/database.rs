//! `smcp db`: the file itself, with or without SMCP running.

use std::process::ExitCode;

use serde_json::json;
use smcp_common::audit::Trust;
use smcp_common::config::Flags;
use smcp_common::queue::{self, Condition};

use super::audit::local_key;
use crate::cli::{Db, DbBackup, DbCheck};
use crate::settings;
use crate::terminal::{print, print_json};

/// Carries out a command on the database.
pub(crate) fn run(what: Db) -> anyhow::Result<ExitCode> {
    match what {
        Db::Backup(options) => backup(&options),
        Db::Check(options) => check(&options),
    }
}

fn backup(options: &DbBackup) -> anyhow::Result<ExitCode> {
    let database = settings::load(&Flags::from(&options.storage))?
        .config
        .database;
    let bytes = queue::backup(&database, &options.file)?;
    print(&format!(
        "{} copied to {} ({bytes} bytes)",
        database.display(),
        options.file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn check(options: &DbCheck) -> anyhow::Result<ExitCode> {
    let config = settings::load(&Flags::from(&options.storage))?.config;
    let database = &config.database;
    let trust = Trust {
        keys: local_key(&config.data_dir)?.into_iter().collect(),
        anchors: Vec::new(),
    };
    let condition = queue::check(database, trust)?;
    if options.json {
        print_json(&json!({
            "database": database,
            "sound": condition.is_sound(),
            "damage": condition.damage,
            "audit_records": condition.audit_records,
            "broken_audit": condition.broken_audit.as_ref().map(|finding| finding.record),
            "audit_finding": condition.broken_audit.as_ref().map(ToString::to_string),
        }))?;
    } else {
        print(&format!("{}\n{}", database.display(), render(&condition)))?;
    }
    Ok(if condition.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn render(condition: &Condition) -> String {
    if !condition.damage.is_empty() {
        let damage = condition.damage.join("\n  ");
        return format!(
            "pages: damaged; stop SMCP, keep the file, and restore the newest backup\n  {damage}\n"
        );
    }
    let audit = match &condition.broken_audit {
        None => format!(
            "{} records, each follows from the one before",
            condition.audit_records
        ),
        Some(finding) => finding.to_string(),
    };
    format!("pages: no damage\naudit: {audit}\n")
}

#[cfg(test)]
mod tests {
    use smcp_common::audit::{Finding, Problem};

    use super::*;

    #[test]
    fn what_was_found_is_told() {
        let sound = Condition {
            damage: Vec::new(),
            audit_records: 7,
            broken_audit: None,
        };
        assert_eq!(
            render(&sound),
            "pages: no damage\naudit: 7 records, each follows from the one before\n"
        );
        let edited = Condition {
            broken_audit: Some(Finding {
                record: 3,
                line: None,
                problem: Problem::Altered,
            }),
            ..sound.clone()
        };
        assert!(render(&edited).contains("audit: record 3: does not match its hash"));
        let damaged = Condition {
            damage: vec!["row 1 missing".into()],
            ..sound
        };
        assert!(render(&damaged).ends_with("newest backup\n  row 1 missing\n"));
    }
}
