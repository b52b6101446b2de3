//! What stands in the attribute.

use syn::meta::ParseNestedMeta;
use syn::{LitInt, LitStr, Result};

/// The names of all options, for whoever misspells one.
const NAMES: &str = "kind, queue, version, max_attempts, timeout_ms, soft_timeout_ms, result_ttl_ms";

/// The longest name of a kind or queue.
const NAME_LEN_MAX: usize = 64;

/// How the job differs from the defaults.
#[derive(Default)]
pub struct Options {
    pub kind: Option<LitStr>,
    pub queue: Option<LitStr>,
    pub version: Option<LitInt>,
    pub max_attempts: Option<LitInt>,
    pub timeout_ms: Option<LitInt>,
    pub soft_timeout_ms: Option<LitInt>,
    pub result_ttl_ms: Option<LitInt>,
}

impl Options {
    /// Reads one option.
    pub fn read(&mut self, meta: ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "kind" => self.kind = Some(read_name(&meta)?),
            "queue" => self.queue = Some(read_name(&meta)?),
            "version" => self.version = Some(read_number::<u32>(&meta)?),
            "max_attempts" => self.max_attempts = Some(read_number::<u32>(&meta)?),
            "timeout_ms" => self.timeout_ms = Some(read_number::<u64>(&meta)?),
            "soft_timeout_ms" => self.soft_timeout_ms = Some(read_number::<u64>(&meta)?),
            "result_ttl_ms" => self.result_ttl_ms = Some(read_number::<u64>(&meta)?),
            _ => return Err(meta.error(format!("unknown option, there are {NAMES}"))),
        }
        Ok(())
    }
}

fn read_name(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    let text = name.value();
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(is_fit) {
        true => Ok(name),
        false => Err(syn::Error::new(name.span(), "a name is 1 to 64 characters of A-Z a-z 0-9 _ . -")),
    }
}

fn read_number<T: std::str::FromStr>(meta: &ParseNestedMeta<'_>) -> Result<LitInt>
where
    T::Err: std::fmt::Display,
{
    let number: LitInt = meta.value()?.parse()?;
    number.base10_parse::<T>()?;
    Ok(number)
}
