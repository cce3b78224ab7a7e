//! The other end of a network daemon's connection, as its environment says.

use base::env::Env;

/// What is known of a connection. Words of strangers: see [`crate::received`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address.
    pub ip: Vec<u8>,
    /// The client's name in DNS.
    pub host: Vec<u8>,
    /// The client's user, as its own host says.
    pub info: Option<Vec<u8>>,
    /// This host: its name, else its address.
    pub local: Vec<u8>,
}

impl Caller {
    /// From `$TCPREMOTEIP` and the others; `unknown` where they do not say.
    pub fn of(env: &Env) -> Self {
        let known = |name: &str| env.get(name).map(<[u8]>::to_vec);
        let unknown = || b"unknown".to_vec();
        Caller {
            ip: known("TCPREMOTEIP").unwrap_or_else(unknown),
            host: known("TCPREMOTEHOST").unwrap_or_else(unknown),
            info: known("TCPREMOTEINFO"),
            local: known("TCPLOCALHOST").or(known("TCPLOCALIP")).unwrap_or_else(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_does_not_say_is_unknown() {
        let mut env = Env::empty();
        env.set("TCPREMOTEIP", "1.2.3.4").set("TCPLOCALIP", "5.6.7.8");
        let (ip, host, local) = (b"1.2.3.4".to_vec(), b"unknown".to_vec(), b"5.6.7.8".to_vec());
        assert_eq!(Caller::of(&env), Caller { ip, host, info: None, local });
    }
}
