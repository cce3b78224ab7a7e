//! What a rule does: the items that are the data of its record, each ended by a NUL.

/// One item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// `D`: the connection is refused.
    Deny,
    /// `+NAME=VALUE`, without the plus: a variable is set. Without `=` it sets nothing.
    Set(&'a [u8]),
}

/// The items of a record. Unknown ones, and bytes after the last NUL, are passed over.
pub fn items(data: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let whole = data.iter().rposition(|byte| *byte == 0).unwrap_or(0);
    data[..whole].split(|byte| *byte == 0).filter_map(|item| match item {
        [b'D', ..] => Some(Item::Deny),
        [b'+', variable @ ..] => Some(Item::Set(variable)),
        _ => None,
    })
}

/// Whether a rule refuses.
pub fn denied(data: &[u8]) -> bool {
    items(data).any(|item| item == Item::Deny)
}

/// The variables that a rule sets, in its order.
pub fn variables(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    items(data).filter_map(|item| match item {
        Item::Deny => None,
        Item::Set(variable) => {
            let name = variable.iter().position(|byte| *byte == b'=')?;
            Some((&variable[..name], &variable[name + 1..]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_items_and_unfinished_ones_are_passed_over() {
        let data = b"Xyz\0+A=b=c\0\0Deny\0+=\0+odd\0+B=cut";
        let all: Vec<_> = items(data).collect();
        let expected = [Item::Set(b"A=b=c"), Item::Deny, Item::Set(b"="), Item::Set(b"odd")];
        assert_eq!(all, expected);
        let set: Vec<_> = variables(data).collect();
        assert_eq!((set, denied(data)), (vec![(&b"A"[..], &b"b=c"[..]), (b"", b"")], true));
        assert_eq!(items(b"").count() + items(b"D").count() + items(b"\0").count(), 0);
    }
}
