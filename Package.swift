// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every target: Swift 6 mode, the upcoming features that tighten it, and no warnings.
let everywhere: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    .treatWarning("DeprecatedDeclaration", as: .warning),
]

/// Targets that touch memory which a guest can write, or that cross into C: every unsafe expression is marked.
let strict: [SwiftSetting] =
    everywhere + [
        .strictMemorySafety(),
        .treatWarning("StrictMemorySafety", as: .error),
    ]

let package = Package(
    name: "qemu-harness",
    products: [
        .executable(name: "qemu-harness", targets: ["qemu-harness"]),
        // For the package in Benchmarks.
        .library(name: "VmemmapPopulate", targets: ["VmemmapPopulate"]),
        .library(
            name: "Inspection",
            targets: [
                "Inspection", "GuestMemory", "KernelState", "MemoryBackends", "Verification", "VmemmapPopulate",
            ]),
        .library(name: "RunRecord", targets: ["RunRecord", "GuestMemory", "Verification", "VmemmapPopulate"]),
        // For the package in Fuzz.
        .library(
            name: "Fuzzed",
            targets: [
                "AgentProtocol", "GuestMemory", "Guests", "HotplugAgent", "KernelState", "Libvirt", "MemoryBackends",
                "Plans", "RunRecord", "Verification", "VmemmapPopulate",
            ]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", .upToNextMinor(from: "1.0.2")),
    ],
    targets: [
        // Built for the host by SwiftPM and for the guest by scripts/build-agent.
        .target(name: "GuestMemory", swiftSettings: strict),
        .target(name: "VmemmapPopulate", dependencies: ["GuestMemory"], swiftSettings: strict),
        .target(name: "KernelState", dependencies: ["GuestMemory", "VmemmapPopulate"], swiftSettings: strict),
        .target(name: "AgentProtocol", dependencies: ["GuestMemory", "VmemmapPopulate"], swiftSettings: strict),
        .target(
            name: "HotplugAgent",
            dependencies: ["GuestMemory", "VmemmapPopulate", "KernelState", "AgentProtocol"],
            exclude: ["Guest"],
            swiftSettings: strict
        ),

        // Host only.
        .target(name: "HarnessBasics", swiftSettings: everywhere),
        .systemLibrary(name: "CKdumpfile", pkgConfig: "libkdumpfile", providers: [.apt(["libkdumpfile-dev"])]),
        .target(
            name: "MemoryBackends",
            dependencies: [
                "CKdumpfile", "GuestMemory", "HarnessBasics", "KernelState",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .systemLibrary(name: "CLibvirt", pkgConfig: "libvirt-qemu", providers: [.apt(["libvirt-dev"])]),
        .target(
            name: "Libvirt",
            dependencies: ["CLibvirt", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict
        ),
        .systemLibrary(name: "CProcess"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(
            name: "RunFixture",
            dependencies: [
                "CProcess", "HarnessBasics", "Libvirt", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Verification", dependencies: ["GuestMemory", "HarnessBasics", "KernelState", "VmemmapPopulate"],
            swiftSettings: everywhere),
        .target(
            name: "RunRecord",
            dependencies: ["AgentProtocol", "COpenSSL", "HarnessBasics", "Verification", "VmemmapPopulate"],
            swiftSettings: strict
        ),
        .target(
            name: "Reports",
            dependencies: [
                "AgentProtocol", "GuestMemory", "HarnessBasics", "Plans", "RunRecord", "Verification",
                "VmemmapPopulate",
            ],
            swiftSettings: everywhere
        ),
        .target(
            name: "Plans",
            dependencies: ["GuestMemory", "HarnessBasics", "Verification", .product(name: "Yams", package: "Yams")],
            swiftSettings: everywhere
        ),
        .target(
            name: "Exploration", dependencies: ["GuestMemory", "HarnessBasics", "Plans"], swiftSettings: everywhere),
        .target(
            name: "Guests",
            dependencies: [
                "GuestMemory", "VmemmapPopulate", "KernelState", "AgentProtocol", "HarnessBasics", "MemoryBackends",
                "Inspection", "Libvirt", "RunFixture", "Verification", "RunRecord", "Plans",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Runs",
            dependencies: [
                "GuestMemory", "KernelState", "HarnessBasics", "Libvirt", "RunFixture", "Verification", "RunRecord",
                "Plans", "Exploration", "Guests", "VmemmapPopulate",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Detection",
            dependencies: [
                "AgentProtocol", "GuestMemory", "VmemmapPopulate", "KernelState", "HarnessBasics", "MemoryBackends",
                "Libvirt", "Verification", "RunFixture", "RunRecord", "Guests", "Runs",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere
        ),
        .target(
            name: "Inspection",
            dependencies: [
                "GuestMemory", "VmemmapPopulate", "KernelState", "HarnessBasics", "MemoryBackends", "Verification",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere
        ),
        // No libvirt: what needs none is to work where there is none.
        .target(
            name: "OfflineCommands",
            dependencies: [
                "GuestMemory", "VmemmapPopulate", "KernelState", "HarnessBasics", "Inspection", "MemoryBackends",
                "Verification", "RunRecord", "Reports", "Plans",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/qemu-harness/Offline",
            swiftSettings: everywhere
        ),
        .executableTarget(
            name: "qemu-harness",
            dependencies: [
                "OfflineCommands", "Runs", "Exploration", "Detection", "Guests", "RunFixture", "GuestMemory",
                "VmemmapPopulate",
                "KernelState",
                "AgentProtocol",
                "HarnessBasics",
                "Inspection",
                "MemoryBackends",
                "Libvirt",
                "Verification", "RunRecord", "Reports", "Plans",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            exclude: ["Offline"],
            swiftSettings: strict
        ),

        .target(
            name: "TestSupport",
            dependencies: [
                "GuestMemory", "HarnessBasics", "VmemmapPopulate",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/TestSupport",
            swiftSettings: everywhere
        ),
        // A made-up guest under the agent, for tests of the agent and of runs.
        .target(
            name: "TestGuests", dependencies: ["AgentProtocol", "GuestMemory", "HotplugAgent", "TestSupport"],
            path: "Tests/TestGuests", swiftSettings: everywhere),
        // For VmemmapPopulateTests.
        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        .testTarget(
            name: "GuestMemoryTests", dependencies: ["GuestMemory", "HarnessBasics", "TestSupport"],
            swiftSettings: everywhere),
        .testTarget(
            name: "VmemmapPopulateTests",
            dependencies: ["GuestMemory", "HarnessBasics", "VmemmapPopulate", "TestSupport", "CAllocationCount"],
            swiftSettings: everywhere),
        .testTarget(
            name: "KernelStateTests",
            dependencies: ["GuestMemory", "HarnessBasics", "KernelState", "TestSupport", "VmemmapPopulate"],
            swiftSettings: everywhere),
        .testTarget(
            name: "AgentProtocolTests",
            dependencies: ["AgentProtocol", "GuestMemory", "VmemmapPopulate", "TestSupport"],
            swiftSettings: everywhere),
        .testTarget(
            name: "HotplugAgentTests",
            dependencies: [
                "HotplugAgent", "AgentProtocol", "GuestMemory", "KernelState", "VmemmapPopulate", "TestGuests",
                "TestSupport",
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "LibvirtTests",
            dependencies: ["Libvirt", .product(name: "SystemPackage", package: "swift-system")],
            resources: [.copy("Fixtures")],
            swiftSettings: everywhere
        ),
        .testTarget(
            name: "RunFixtureTests",
            dependencies: [
                "RunFixture", "HarnessBasics", "Libvirt", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere
        ),
        .testTarget(
            name: "VerificationTests",
            dependencies: [
                "HarnessBasics", "Verification", "GuestMemory", "KernelState", "VmemmapPopulate", "TestSupport",
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "InspectionTests",
            dependencies: [
                "Inspection", "OfflineCommands", "GuestMemory", "HarnessBasics", "KernelState", "MemoryBackends",
                "RunRecord", "TestSupport", "Verification", "VmemmapPopulate",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: everywhere
        ),
        // The program itself is a dependency, so that it is built with the tests that start it.
        .testTarget(
            name: "RunRecordTests",
            dependencies: [
                "qemu-harness", "AgentProtocol", "Detection", "GuestMemory", "HarnessBasics", "RunRecord",
                "TestSupport",
                "Verification",
                "VmemmapPopulate",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: everywhere
        ),
        .testTarget(
            name: "ReportsTests",
            dependencies: [
                "qemu-harness", "OfflineCommands", "GuestMemory", "HarnessBasics", "Reports", "RunRecord",
                "TestSupport",
                "Verification", "VmemmapPopulate",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere
        ),
        .testTarget(
            name: "PlansTests",
            dependencies: [
                "GuestMemory", "HarnessBasics", "Plans", "TestSupport", .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "ExplorationTests", dependencies: ["Exploration", "Plans", "Verification"], swiftSettings: everywhere),
        .testTarget(
            name: "MemoryBackendsTests",
            dependencies: [
                "MemoryBackends", "GuestMemory", "HarnessBasics", "KernelState", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "GuestsTests",
            dependencies: [
                "Guests", "AgentProtocol", "GuestMemory", "HarnessBasics", "Libvirt", "MemoryBackends", "Plans",
                "RunFixture", "RunRecord", "TestSupport", "Verification", "VmemmapPopulate",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "RunsTests",
            dependencies: [
                "Runs", "Exploration", "Guests", "HotplugAgent", "GuestMemory", "HarnessBasics", "VmemmapPopulate",
                "MemoryBackends", "Libvirt", "RunFixture", "RunRecord", "Plans", "Verification", "TestGuests",
                "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: everywhere),
        .testTarget(
            name: "QemuHarnessTests",
            dependencies: [
                "qemu-harness", "OfflineCommands", "Runs", "Detection", "Guests", "RunFixture", "AgentProtocol",
                "GuestMemory",
                "HarnessBasics",
                "Libvirt",
                "Plans",
                "Reports",
                "RunRecord",
                "TestSupport",
                "Verification",
                "VmemmapPopulate",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: everywhere),
        // The program itself is a dependency, so that it is built with the tests that start it.
        .testTarget(
            name: "RealGuestTests",
            dependencies: [
                "qemu-harness", "Runs", "Guests", "HotplugAgent", "AgentProtocol", "GuestMemory", "HarnessBasics",
                "CLibvirt", "Detection", "Inspection", "KernelState",
                "VmemmapPopulate",
                "MemoryBackends",
                "Libvirt", "Plans", "RunFixture", "Verification", "RunRecord", "TestSupport",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["Guests"],
            swiftSettings: everywhere
        ),
    ],
    swiftLanguageModes: [.v6]
)
