//! The cases: id, scenario, what is expected. A test keeps the list equal to the files.

macro_rules! cases {
    ($($id:literal),* $(,)?) => {
        /// Every case: its id, the text of its scenario, the text of what is expected.
        pub const CASES: &[(&str, &str, &str)] = &[$((
            $id,
            include_str!(concat!("../../../scenarios/validation/", $id, ".ron")),
            include_str!(concat!("../../../scenarios/validation/expected/", $id, ".ron")),
        )),*];
    };
}

cases![
    "qemu-predictor",
    "qemu-postgres",
    "grid5000-plan5",
    "clark-specweb",
    "clark-muncher",
    "openstack-drain",
    "hyper-v-finn",
    "hyper-v-holman",
    "hyper-v-sql",
    "qemu-qatzip",
    "qemu-compression",
    "qemu-rdma",
];
