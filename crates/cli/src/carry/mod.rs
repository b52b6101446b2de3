//! Carrying keys between stores and files: what `export`, `import` and `move` share.
//!
//! `store` reads and writes the keys of any store, `libraries` its functions, `file` both of a file in one of two forms,
//! of which `lines` is the one that people read; `bar` shows how far it is.

mod bar;
mod base64;
mod file;
mod filter;
mod libraries;
mod lines;
mod store;
mod stream;

pub use bar::{Bar, contents, count, keys, libraries};
pub use file::{Form, Part, read, write};
pub use filter::Filter;
pub use libraries::Named;
pub use store::{Item, Store};

/// The names of a store as it may be shown: without a password.
pub fn shown(url: &str) -> String {
    let Some(start) = url.find("//").map(|at| at + 2) else { return url.to_owned() };
    let Some(end) = url[start..].rfind('@').map(|at| at + start) else { return url.to_owned() };
    format!("{}…{}", &url[..start], &url[end..])
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown("redis://user:secret@host:1/2"), "redis://…@host:1/2");
        assert_eq!(shown("./data"), "./data");
    }
}
