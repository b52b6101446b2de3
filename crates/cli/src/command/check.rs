//! `windlass check` and `windlass repair`: whether a directory is whole, and what of a damaged one can be kept.

use std::path::Path;

use serde_json::{Value, json};
use windlass_db::EngineConfig;
use windlass_db::check::{Check, CheckedFile, Damage, Depth};
use windlass_db::repair::{Keep, Repair, Repaired};

use crate::args::{CheckArgs, RepairArgs};
use crate::exit::{CANNOT_CONNECT, CONFIGURATION, FAILURE, Failure, Result};
use crate::output;

/// More places of damage than this are counted, not listed.
const DAMAGE_SHOWN_MAX: usize = 20;

pub async fn check(args: CheckArgs, is_json: bool) -> Result<()> {
    let depth = if args.quick { Depth::Form } else { Depth::Records(Box::default()) };
    let dir = args.dir.clone();
    let found =
        tokio::task::spawn_blocking(move || windlass_db::check::check(&dir, &depth)).await?.map_err(fail)?;
    if is_json {
        output::json(&describe(&found))?;
    } else {
        show(&found)?;
    }
    let Some(first) = found.damage.first() else { return Ok(()) };
    let place = format!("{} is damaged at byte {}: {}", first.file.display(), first.offset, first.reason);
    let next = format!("`windlass repair {}` shows what can be kept", args.dir.display());
    Err(Failure::new(FAILURE, anyhow::anyhow!("{place}; {next}")))
}

pub async fn repair(args: RepairArgs, is_json: bool) -> Result<()> {
    let keep = if args.keep_later { Keep::Later } else { Keep::Before };
    let dir = args.dir.clone();
    let plan = move || Repair::plan(&dir, &EngineConfig::default(), keep);
    let Some(plan) = tokio::task::spawn_blocking(plan).await?.map_err(fail)? else {
        let sentence = format!("{} is whole, there is nothing to repair", args.dir.display());
        return output::done(is_json, &sentence, &json!({ "whole": true, "repaired": false }));
    };
    let loss = json!({
        "whole": false, "records_kept": plan.records_kept, "records_lost": plan.records_lost,
        "bytes_lost": plan.bytes_lost, "repaired": args.yes,
    });
    if !is_json {
        show_damage(&plan.check.damage)?;
    }
    if !args.yes {
        if !is_json {
            output::line(outcome(&plan, args.yes))?;
        }
        let again = format!(
            "nothing was changed. `windlass repair {}{} --yes` does it; the files as they are now are kept aside",
            args.dir.display(),
            if args.keep_later { " --keep-later" } else { "" },
        );
        return output::done(is_json, &again, &loss);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    // What is kept is told once it is.
    let told = outcome(&plan, args.yes);
    let Repaired { aside, keys, .. } =
        tokio::task::spawn_blocking(move || plan.run(&stamp)).await?.map_err(fail)?;
    if !is_json {
        output::line(told)?;
    }
    let mut loss = loss;
    loss["keys"] = json!(keys);
    loss["aside"] = json!(aside.to_string_lossy());
    let sentence =
        format!("repaired: {keys} keys are there. The files as they were are in {}", aside.display());
    output::done(is_json, &sentence, &loss)
}

fn outcome(plan: &Repair, is_done: bool) -> String {
    let given_up = if is_done { "given up" } else { "would be given up" };
    format!(
        "{} records {} kept; {} bytes {given_up}, with {} whole records in them and whatever the damaged bytes held",
        plan.records_kept,
        if is_done { "are" } else { "would be" },
        plan.bytes_lost,
        plan.records_lost,
    )
}

/// The code with which an operation on a directory fails.
pub fn fail(error: windlass_db::Error) -> Failure {
    let code = match error {
        windlass_db::Error::Owned { .. } => CANNOT_CONNECT,
        windlass_db::Error::Unrepairable { .. } | windlass_db::Error::Exists { .. } => FAILURE,
        _ => CONFIGURATION,
    };
    Failure::new(code, error)
}

fn show(found: &Check) -> Result<()> {
    let rows: Vec<_> = found.files.iter().map(|file| row(file, &found.directory)).collect();
    output::table(["file", "kind", "bytes", "groups", "records", "keys", "last group"], &rows)?;
    if found.is_open {
        let owner = found.owner.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        output::line(format_args!(
            "a process has it open{owner}: what is being written may look like a torn end"
        ))?;
    }
    if let Some(torn) = &found.torn {
        output::line(format_args!(
            "{} has a torn end at byte {}: {} bytes that the next start cuts",
            name(&torn.file, &found.directory),
            torn.offset,
            torn.bytes
        ))?;
    }
    show_damage(&found.damage)?;
    if found.is_whole() {
        output::line(format_args!("whole: {} records, {} bytes", found.records(), found.bytes()))?;
    }
    Ok(())
}

fn show_damage(damage: &[Damage]) -> Result<()> {
    for place in damage.iter().take(DAMAGE_SHOWN_MAX) {
        output::line(format_args!(
            "damaged: {} at byte {}, {} bytes: {}",
            place.file.display(),
            place.offset,
            place.bytes,
            place.reason
        ))?;
    }
    if damage.len() > DAMAGE_SHOWN_MAX {
        output::line(format_args!("damaged: {} places more", damage.len() - DAMAGE_SHOWN_MAX))?;
    }
    Ok(())
}

fn row(file: &CheckedFile, directory: &Path) -> [String; 7] {
    let kind = if file.is_base { "base" } else { "changes" };
    let numbers =
        [file.bytes, file.groups, file.records, file.keys, file.sequence].map(|number| number.to_string());
    let [bytes, groups, records, keys, sequence] = numbers;
    [name(&file.path, directory), kind.into(), bytes, groups, records, keys, sequence]
}

fn name(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

fn describe(found: &Check) -> Value {
    json!({
        "directory": found.directory.to_string_lossy(),
        "whole": found.is_whole(),
        "open": found.is_open,
        "pid": found.owner,
        "records": found.records(),
        "bytes": found.bytes(),
        "files": found.files.iter().map(|file| json!({
            "file": name(&file.path, &found.directory), "base": file.is_base, "bytes": file.bytes,
            "groups": file.groups, "records": file.records, "keys": file.keys, "sequence": file.sequence,
        })).collect::<Vec<_>>(),
        "torn": found.torn.as_ref().map(|torn| json!({
            "file": name(&torn.file, &found.directory), "offset": torn.offset, "bytes": torn.bytes,
        })),
        "damage": found.damage.iter().take(DAMAGE_SHOWN_MAX).map(|place| json!({
            "file": name(&place.file, &found.directory), "offset": place.offset, "bytes": place.bytes,
            "reason": place.reason,
        })).collect::<Vec<_>>(),
        "damaged_places": found.damage.len(),
    })
}
