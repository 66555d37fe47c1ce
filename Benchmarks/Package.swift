// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
    name: "benchmarks",
    dependencies: [.package(name: "qemu-harness", path: "..")],
    targets: [.target(name: "CPopulate"), .target(name: "CWalks")]
        + ["populate", "growth"].map {
            .executableTarget(
                name: $0,
                dependencies: ["CPopulate", .product(name: "VmemmapPopulate", package: "qemu-harness")],
                swiftSettings: [.treatAllWarnings(as: .error)]
            )
        } + [
            .executableTarget(
                name: "inspect",
                dependencies: [.product(name: "Inspection", package: "qemu-harness")],
                swiftSettings: [.treatAllWarnings(as: .error)]
            ),
            .executableTarget(
                name: "record",
                dependencies: [.product(name: "RunRecord", package: "qemu-harness")],
                swiftSettings: [.treatAllWarnings(as: .error)]
            ),
            .executableTarget(
                name: "walks",
                dependencies: ["CWalks", .product(name: "Inspection", package: "qemu-harness")],
                swiftSettings: [.treatAllWarnings(as: .error)]
            ),
        ],
    swiftLanguageModes: [.v6]
)
