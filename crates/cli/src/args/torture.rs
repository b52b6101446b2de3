//! Arguments of `windlass torture`.

use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct TortureArgs {
    /// The stages to run, as --list names them [default: all]
    pub stages: Vec<String>,
    /// The seed of everything that is left to chance [default: drawn, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many processes a stage kills, in place of its own figure
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub kills: Option<u32>,
    /// The large figures: hours in place of minutes
    #[arg(long)]
    pub full: bool,
    /// A folder for the processes' files, on the disk that is to be tried [default: a new one in the temporary folder]
    #[arg(long, value_name = "DIRECTORY")]
    pub dir: Option<PathBuf>,
    /// Take it for a failure when a stage cannot run here
    #[arg(long)]
    pub no_skips: bool,
    /// Print the stages and end
    #[arg(long)]
    pub list: bool,
    /// Take one guard out, as --list names them; a stage must notice
    #[arg(long, value_name = "GUARD")]
    pub without: Option<String>,
    /// Be a worker on the store, and note what runs in this file: for the stage that kills workers
    #[arg(long, hide = true, value_name = "FILE")]
    pub work: Option<PathBuf>,
}
