//! `windlass backup`: a copy of a directory on which one can start.

use serde_json::json;

use super::check::fail;
use crate::args::BackupArgs;
use crate::carry::count;
use crate::exit::Result;
use crate::output;

pub async fn run(args: BackupArgs, is_json: bool) -> Result<()> {
    let (dir, to) = (args.dir.clone(), args.to.clone());
    let taken =
        tokio::task::spawn_blocking(move || windlass_db::backup::backup(&dir, &to)).await?.map_err(fail)?;
    let sentence = format!(
        "{} is a copy of {}: {} records, {} bytes, all of them checked",
        taken.path.display(),
        args.dir.display(),
        count(taken.records),
        count(taken.bytes)
    );
    output::done(
        is_json,
        &sentence,
        &json!({ "path": taken.path.to_string_lossy(), "records": taken.records, "bytes": taken.bytes }),
    )
}
