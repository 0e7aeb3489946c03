//! Links as Node wants it.

fn main() {
    napi_build::setup();
}
