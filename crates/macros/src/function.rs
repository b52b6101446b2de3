//! What a function says of itself.

use proc_macro2::Ident;
use syn::{Error, FnArg, GenericArgument, ItemFn, Pat, PathArguments, Result, ReturnType, Type};

/// A function as a job.
pub struct Function<'a> {
    /// The name of the type, in CamelCase.
    pub name: Ident,
    /// The parameters in their order: the context, or an argument.
    pub parameters: Vec<Parameter<'a>>,
    /// What it answers when it succeeds.
    pub output: &'a Type,
}

/// One parameter.
pub enum Parameter<'a> {
    Context,
    Argument(&'a Ident, &'a Type),
}

impl<'a> Function<'a> {
    /// Reads a function, or says why it cannot be a job.
    pub fn read(item: &'a ItemFn) -> Result<Self> {
        let signature = &item.sig;
        if !signature.generics.params.is_empty() {
            let what = "a job has no generics: its arguments are read back from JSON";
            return Err(Error::new_spanned(&signature.generics, what));
        }
        let parameters = signature.inputs.iter().map(read_parameter).collect::<Result<Vec<_>>>()?;
        let contexts = parameters.iter().filter(|parameter| matches!(parameter, Parameter::Context)).count();
        if contexts > 1 {
            return Err(Error::new_spanned(&signature.inputs, "a job has one context"));
        }
        let output = read_output(&signature.output).ok_or_else(|| {
            Error::new_spanned(signature, "a job answers an `Outcome`: write `-> Outcome<…>`")
        })?;
        Ok(Self { name: camel_case(&signature.ident), parameters, output })
    }

    /// The arguments, in their order.
    pub fn arguments(&self) -> impl Iterator<Item = (&'a Ident, &'a Type)> + '_ {
        self.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Context => None,
            Parameter::Argument(name, of) => Some((*name, *of)),
        })
    }
}

fn read_parameter(parameter: &FnArg) -> Result<Parameter<'_>> {
    let FnArg::Typed(parameter) = parameter else {
        return Err(Error::new_spanned(parameter, "a job is a function of its own, without `self`"));
    };
    if is_context(&parameter.ty) {
        return Ok(Parameter::Context);
    }
    if let Type::Reference(_) = *parameter.ty {
        let what = "an argument is stored and read back: take it by value";
        return Err(Error::new_spanned(&parameter.ty, what));
    }
    match &*parameter.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Ok(Parameter::Argument(&pattern.ident, &parameter.ty))
        }
        pattern => {
            Err(Error::new_spanned(pattern, "an argument has a plain name, which is its name in JSON"))
        }
    }
}

fn is_context(of: &Type) -> bool {
    match of {
        Type::Reference(reference) => is_context(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == "Context"),
        _ => false,
    }
}

/// The first part of what it answers: `T` of `Outcome<T>` and of `Result<T, Failure>`.
fn read_output(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, of) = output else { return None };
    let Type::Path(path) = &**of else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    }
}

fn camel_case(name: &Ident) -> Ident {
    let text = name.to_string();
    let parts = text.trim_start_matches("r#").split('_');
    let camel: String = parts
        .flat_map(|part| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect();
    Ident::new(&camel, name.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(function: &str) -> String {
        let item: ItemFn = syn::parse_str(function).unwrap();
        Function::read(&item).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_a_job_is_told_why() {
        assert_eq!(problem("async fn a(b: u32, c: windlass::Context) -> Outcome<()> {}"), "");
        assert!(problem("async fn a() {}").starts_with("a job answers an `Outcome`"));
        assert!(problem("async fn a() -> u32 {}").starts_with("a job answers an `Outcome`"));
        assert!(problem("async fn a<T>(b: T) -> Outcome<()> {}").starts_with("a job has no generics"));
        assert!(problem("async fn a(b: &str) -> Outcome<()> {}").contains("take it by value"));
        assert!(problem("async fn a((b, c): (u32, u32)) -> Outcome<()> {}").contains("a plain name"));
        assert!(problem("fn a(&self) -> Outcome<()> {}").contains("without `self`"));
        assert_eq!(problem("fn a(b: &Context, c: &Context) -> Outcome<()> {}"), "a job has one context");
    }

    #[test]
    fn the_type_is_named_after_the_function() {
        let name = |text: &str| camel_case(&Ident::new(text, proc_macro2::Span::call_site())).to_string();
        assert_eq!(
            (name("send_mail_2"), name("a"), name("_b")),
            ("SendMail2".into(), "A".into(), "B".into())
        );
    }
}
