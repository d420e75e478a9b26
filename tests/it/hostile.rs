//! Hostile plugins: what they try, what they achieve, and whether `smcp doctor` has claimed just that.
//!
//! Twenty rows, and each is run four ways: with namespaces and without, by a worker that is root and by one that is
//! not. A row asserts what can be seen of an attack from outside, and that it agrees with the doctor's claim for the
//! key that it is about: what is `enforced` has held, and what is not is open exactly where the doctor says so.
//! The attacks themselves are in `hostile_plugins/hostile/attacks/`. What cannot be run on this machine says why.

mod calls;
mod claims;
mod files;
mod isolation;
mod kernel;
mod languages;
mod lasting;
mod load;
mod network;
mod peers;
mod survivors;
mod ways;

/// A test of `$row` for each way.
macro_rules! four_ways {
    ($name:ident, $row:path) => {
        mod $name {
            use crate::hostile::ways::Way;

            #[test]
            fn by_root_with_namespaces() {
                Way::RootWithNamespaces.run($row);
            }

            #[test]
            fn by_root_without_namespaces() {
                Way::RootWithout.run($row);
            }

            #[test]
            fn by_a_user_with_namespaces() {
                Way::UserWithNamespaces.run($row);
            }

            #[test]
            fn by_a_user_without_namespaces() {
                Way::UserWithout.run($row);
            }
        }
    };
}

use four_ways;
