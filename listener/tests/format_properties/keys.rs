//! A strict reader of JSON: `serde_json::Value` keeps silent about a key that stands twice.

/// Whether no object holds a key twice.
pub(crate) fn keys_stand_once(json: &str) -> bool {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
            Ok(true)
        }
        fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
            Ok(true)
        }
        fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
            Ok(true)
        }
        fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
            Ok(true)
        }
        fn visit_str<E>(self, _: &str) -> Result<bool, E> {
            Ok(true)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
            let mut once = true;
            while let Some(Once(element)) = seq.next_element()? {
                once &= element;
            }
            Ok(once)
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let (mut once, mut seen) = (true, std::collections::HashSet::new());
            while let Some((key, Once(value))) = map.next_entry::<String, Once>()? {
                once &= value & seen.insert(key);
            }
            Ok(once)
        }
    }
    struct Once(bool);
    impl<'de> serde::Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Keys).map(Once)
        }
    }
    serde_json::from_str::<Once>(json).is_ok_and(|Once(once)| once)
}
