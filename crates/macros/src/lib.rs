//! `#[job]`: a job of a function. Use it as `windlass::job`, with the feature `macros`.
//!
//! `options` reads what stands in the attribute, `function` what the function says of itself, and `expand` writes the
//! type and its implementation.

mod expand;
mod function;
mod options;

use proc_macro::TokenStream;

/// Makes a job of a function: its parameters are the job's arguments, its name in CamelCase is the type to push and to
/// register.
///
/// ```ignore
/// #[windlass::job(queue = "mail", max_attempts = 5, timeout_ms = 30_000)]
/// async fn send_greeting(context: Context, name: String, times: u32) -> Outcome<()> {
///     println!("Hello, {name} (attempt {})", context.attempt());
///     Ok(())
/// }
///
/// client.push(SendGreeting { name: "Ada".into(), times: 1 }).await?;
/// worker.register::<SendGreeting>();
/// ```
///
/// An `async fn` becomes a `Job`, another function a `BlockingJob`. It answers an `Outcome`. A parameter of type
/// `Context`, in a blocking job `&Context`, is no argument: it is the attempt's context. The function stays as it is, to
/// be called by tests and others.
///
/// Options: `kind` (the function's name with `-` for `_`), `queue`, `version`, `max_attempts`, `timeout_ms`,
/// `soft_timeout_ms`, `result_ttl_ms`.
#[proc_macro_attribute]
pub fn job(options: TokenStream, function: TokenStream) -> TokenStream {
    let mut read = options::Options::default();
    let parser = syn::meta::parser(|meta| read.read(meta));
    syn::parse_macro_input!(options with parser);
    let item = syn::parse_macro_input!(function as syn::ItemFn);
    let expanded = function::Function::read(&item).map(|function| expand::expand(&item, &function, &read));
    expanded
        .unwrap_or_else(|error| {
            // The function itself stays, so that nothing else is reported than what is wrong with it as a job.
            let error = error.to_compile_error();
            quote::quote!(#item #error)
        })
        .into()
}
