//! A guard for the tests' tools: what `capstan guard` is.

use std::process::ExitCode;

fn main() -> ExitCode {
    shared_runtime::guard::main(std::env::args_os().skip(2))
}
