//! Public resolvers that speak DNS over HTTPS, by name: a flow to one is named, and what it asks for is hidden. From the
//! lists that Chromium, Firefox and Windows ship, as recalled: a name that is missing hides a little more than is counted.

use crate::model::host_name::HostName;

/// A name stands for itself and for every name below it (resolvers number their clients so).
const NAMES: [&str; 22] = [
    "adguard-dns.com",
    "chrome.cloudflare-dns.com",
    "cloudflare-dns.com",
    "cloudflare-gateway.com",
    "controld.com",
    "dns.google",
    "dns.mullvad.net",
    "dns.nextdns.io",
    "dns.opendns.com",
    "dns.quad9.net",
    "dns.sb",
    "dns.switch.ch",
    "dns.umbrella.com",
    "dns0.eu",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns9.quad9.net",
    "doh.cleanbrowsing.org",
    "doh.dns.sb",
    "doh.opendns.com",
    "doh.xfinity.com",
    "one.one.one.one",
];

/// Whether the name is one of a public resolver whose clients ask over HTTPS.
pub fn is_resolver(name: &HostName) -> bool {
    let name = name.as_str();
    NAMES.iter().any(|resolver| {
        let above = name.strip_suffix(resolver);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_known_by_whole_labels() {
        for (name, expected) in [
            ("dns.google", true),
            ("DNS.Google.", true),
            ("8888.dns.google", true),
            ("abc123.dns.nextdns.io", true),
            ("mozilla.cloudflare-dns.com", true),
            ("evildns.google", false),
            ("dns.google.evil.example", false),
            ("google", false),
            ("api.openai.com", false),
        ] {
            let name = HostName::from_wire(name.as_bytes()).expect("a name");
            assert_eq!(is_resolver(&name), expected, "{name}");
        }
    }
}
