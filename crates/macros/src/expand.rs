//! Writes the type of a job and its implementation.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{ItemFn, LitInt, LitStr};

use crate::function::{Function, Parameter};
use crate::options::Options;

/// The function with its job.
pub fn expand(item: &ItemFn, function: &Function<'_>, options: &Options) -> TokenStream {
    let Function { name, output, .. } = function;
    let (visibility, called, is_async) = (&item.vis, &item.sig.ident, item.sig.asyncness.is_some());
    let (names, types): (Vec<_>, Vec<_>) = function.arguments().unzip();
    let kind = options.kind.clone().unwrap_or_else(|| {
        let name = called.to_string();
        LitStr::new(&name.trim_start_matches("r#").replace('_', "-"), called.span())
    });
    let constants = constants(options);
    let limits = limits(options);
    // Not `context`, which may be the name of an argument.
    let context = Ident::new("__context", Span::mixed_site());
    let given = function.parameters.iter().map(|parameter| match parameter {
        Parameter::Context => quote!(#context),
        Parameter::Argument(name, _) => quote!(#name),
    });
    let docs = item.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let (contract, run) = match is_async {
        true => (
            quote!(Job),
            quote!(async fn run(self, #context: ::windlass::Context) -> ::windlass::Outcome<#output> {
                let Self { #(#names),* } = self;
                let _ = &#context;
                #called(#(#given),*).await
            }),
        ),
        false => (
            quote!(BlockingJob),
            quote!(fn run(self, #context: &::windlass::Context) -> ::windlass::Outcome<#output> {
                let Self { #(#names),* } = self;
                let _ = &#context;
                #called(#(#given),*)
            }),
        ),
    };
    quote! {
        #item

        #(#docs)*
        #[allow(missing_docs)]
        #[derive(::windlass::__private::serde::Serialize, ::windlass::__private::serde::Deserialize)]
        #[serde(crate = "::windlass::__private::serde")]
        #visibility struct #name {
            #(#visibility #names: #types),*
        }

        impl ::windlass::#contract for #name {
            const KIND: &'static str = #kind;
            #constants
            type Output = #output;
            #run
            #limits
        }
    }
}

fn constants(options: &Options) -> TokenStream {
    let queue = options.queue.iter().map(|queue| quote!(const QUEUE: &'static str = #queue;));
    let version = options.version.iter().map(|version| quote!(const VERSION: u32 = #version;));
    let attempts = options.max_attempts.iter().map(|max| quote!(const MAX_ATTEMPTS: u32 = #max;));
    quote!(#(#queue)* #(#version)* #(#attempts)*)
}

fn limits(options: &Options) -> TokenStream {
    let limit = |name: &str, ms: &Option<LitInt>| {
        let name = Ident::new(name, Span::call_site());
        ms.as_ref().map(|ms| {
            quote!(fn #name() -> ::core::option::Option<::core::time::Duration> {
                ::core::option::Option::Some(::core::time::Duration::from_millis(#ms))
            })
        })
    };
    let all = [
        limit("timeout", &options.timeout_ms),
        limit("soft_timeout", &options.soft_timeout_ms),
        limit("result_ttl", &options.result_ttl_ms),
    ];
    let all = all.iter().flatten();
    quote!(#(#all)*)
}
