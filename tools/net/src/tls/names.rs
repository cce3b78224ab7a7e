//! Host names that clients ask for (SNI), and the names that certificates are kept under.

/// Whether a name that somebody configured means this host. Its first label may be `*`, which
/// stands for one label. Case does not matter.
pub fn means(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(host),
        Some(rest) => host.split_once('.').is_some_and(|(first, host)| {
            !first.is_empty() && !rest.is_empty() && rest.eq_ignore_ascii_case(host)
        }),
    }
}

/// The name of the folder of a host's certificate: small letters. `None` if the host's name is
/// not fit for one: other characters than letters, digits, hyphens and dots, or an empty label.
pub fn folder(host: &str) -> Option<String> {
    let fits = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (host.len() <= 253 && host.split('.').all(fits)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label() {
        assert!(means("Mail.example", "mail.EXAMPLE"));
        assert!(means("*.example", "mail.example"));
        let others = ["example", ".example", "a.mail.example", "mail.example.org"];
        assert!(!others.iter().any(|host| means("*.example", host)));
        assert!(!means("*.", "mail.") && !means("*", "mail"));
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        assert_eq!(folder("A-1.Example"), Some("a-1.example".into()));
        let bad = ["", ".", "..", "a..b", ".a", "a.", "../a", "a/b", "a_b", "a\0b", "é"];
        assert!(bad.iter().all(|host| folder(host).is_none()));
        assert_eq!(folder(&"a.".repeat(127)), None);
    }
}
