//! Imports a file of a million rows in bounded memory: run it, `kill -9` it at any time, run it again.
//!
//! Each job imports ten thousand rows, says where it stopped, and pushes the next with a key of its own: a job that runs
//! again after a crash writes the same part once more, and pushes no second successor.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};
use windlass::{BlockingJob, Client, Context, Outcome, Push, Worker};

const ROWS: u64 = 1_000_000;
const ROWS_PER_JOB: usize = 10_000;
const FILE: &str = "rows.csv";

#[derive(Serialize, Deserialize)]
struct Import {
    /// Where in the file to go on, in bytes.
    from: u64,
    /// What the rows before it came to.
    rows: u64,
    total: u64,
}

impl BlockingJob for Import {
    const KIND: &'static str = "import";
    type Output = ();

    fn run(self, context: &Context) -> Outcome<()> {
        let Self { mut from, mut rows, mut total } = self;
        let mut file = BufReader::new(File::open(FILE)?);
        file.seek(SeekFrom::Start(from))?;
        let mut line = String::new();
        for _ in 0..ROWS_PER_JOB {
            line.clear();
            match file.read_line(&mut line)? {
                0 => break,
                length => from += length as u64,
            }
            let (_, amount) = line.trim_end().split_once(',').unwrap_or_default();
            total += amount.parse::<u64>()?;
            rows += 1;
        }
        println!("{rows} rows");
        match rows < ROWS {
            true => {
                let next = Import { from, rows, total };
                context
                    .block_on(context.client().push_with(next, Push::new().key(format!("import-{from}"))))?;
            }
            false => println!("the total is {total}"),
        }
        Ok(())
    }
}

/// Makes the file, unless it is there.
fn make_rows() -> std::io::Result<()> {
    if std::fs::exists(FILE)? {
        return Ok(());
    }
    let mut file = BufWriter::new(File::create("rows.new")?);
    for row in 1..=ROWS {
        writeln!(file, "row {row},{row}")?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename("rows.new", FILE)
}

#[tokio::main]
async fn main() -> windlass::Result<()> {
    make_rows()?;
    let url = std::env::var("WINDLASS_URL").unwrap_or_else(|_| "windlass-data".into());
    let client = Client::open(&url).await?;
    let start = Import { from: 0, rows: 0, total: 0 };
    client.push_with(start, Push::new().key("import-0")).await?;
    let worker = Worker::new(&client).register_blocking::<Import>().on_event(|event| println!("{event}"));
    println!("{}", worker.exit_when_empty().run().await?);
    Ok(())
}
