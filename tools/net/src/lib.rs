//! The network half: addresses, DNS, ident, sockets as UCSPI programs need them.
