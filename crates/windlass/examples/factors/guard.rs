//! Where a post-back may go: not into the network that this service stands in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Networks that are not the public internet, from IANA's special-purpose registries.
const PRIVATE: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "64:ff9b::/32",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/9",
];

/// Decides where post-backs may go.
#[derive(Clone, Debug)]
pub struct Guard {
    private: Arc<Vec<IpNet>>,
    allowed: Arc<Vec<SocketAddr>>,
}

impl Guard {
    /// Refuses private addresses but for those in `allowed`, which are exact: address and port.
    pub fn new(allowed: Vec<SocketAddr>) -> Self {
        let private =
            PRIVATE.iter().chain(&["ff00::/8"]).map(|net| net.parse().expect("the table is well-formed"));
        Self { private: Arc::new(private.collect()), allowed: Arc::new(allowed) }
    }

    /// Checks what the URL itself says; a name is checked when it is resolved.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        if !["http", "https"].contains(&url.scheme()) {
            return Err(format!("`{}` is not posted to; use http or https", url.scheme()));
        }
        let Some(host) = url.host_str() else { return Err("the URL has no host".into()) };
        let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
        let port = url.port_or_known_default().unwrap_or_default();
        if self.is_private(address) && !self.allowed.contains(&SocketAddr::new(address, port)) {
            return Err(format!(
                "{address} is a private address; start the service with --allow {address}:{port}"
            ));
        }
        Ok(())
    }

    fn is_private(&self, address: IpAddr) -> bool {
        self.private.iter().any(|net| net.contains(&address))
    }
}

/// Resolves names and hands out public addresses only: what was checked is what is connected to.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| !guard.is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("`{host}` has no public address").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_targets_are_refused_unless_exactly_allowed() {
        let guard = Guard::new(vec!["127.0.0.1:7391".parse().expect("an address")]);
        let check = |url: &str| guard.check(&url.parse().expect("a URL"));
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.1:7392/",
            "http://10.1.2.3/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "http://0x7f000001/",
            "http://2130706433/",
            "ftp://example.com/",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        for url in ["http://127.0.0.1:7391/posts", "https://example.com/", "http://93.184.216.34/"] {
            assert!(check(url).is_ok(), "{url}");
        }
    }
}
