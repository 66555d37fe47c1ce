// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Testing

@testable import RunFixture

@Suite struct ConnectionTargetTests {
    /// What is taken without a word about it.
    private static func target(option: String?, environment: [String: String]) throws -> ConnectionTarget {
        try ConnectionTarget(option: option, environment: environment) { Issue.record("\($0)") }
    }

    @Test(arguments: [
        ("qemu:///embed", ConnectionTarget.embedded),
        ("qemu:///session", .daemon(uri: "qemu:///session")),
        ("qemu+unix:///system", .daemon(uri: "qemu+unix:///system")),
    ])
    func localURIsAreTaken(uri: String, expected: ConnectionTarget) throws {
        #expect(try Self.target(option: uri, environment: [:]) == expected)
        #expect(try Self.target(option: nil, environment: ["LIBVIRT_DEFAULT_URI": uri]) == expected)
    }

    private static let others = [
        ("qemu+ssh://host/system", "is remote"),
        ("qemu+tls:///system", "is remote"),
        ("qemu://host/session", "is remote"),
        ("xen:///system", "'xen'"),
        ("lxc:///system", "'lxc'"),
        ("test:///default", "'test'"),
        ("qemu:///nothing", "'/nothing'"),
        ("qemu:///embed?root=/tmp", "'/embed'"),
        ("session", "is no libvirt URI"),
    ]

    /// Other programs want the variable, too: that it names none of ours is no error.
    @Test(arguments: others)
    func aVariableForOtherProgramsIsPassedOver(uri: String, reason: String) throws {
        var told: [String] = []
        let target = try ConnectionTarget(option: nil, environment: ["LIBVIRT_DEFAULT_URI": uri]) { told.append($0) }
        #expect(target == .embedded)
        try #require(told.count == 1)
        #expect(told[0].hasPrefix("LIBVIRT_DEFAULT_URI '\(uri)'") && told[0].contains(reason), "\(told)")
        #expect(told[0].hasSuffix("; the embedded driver is taken instead"))
    }

    @Test(arguments: ["", "qemu:///embed", "qemu:///session", "qemu:///system"])
    func aVariableThatFitsIsTakenInSilence(uri: String) throws {
        _ = try ConnectionTarget(option: nil, environment: ["LIBVIRT_DEFAULT_URI": uri]) { Issue.record("\($0)") }
    }

    @Test(arguments: others + [("", "is no libvirt URI")])
    func othersAreRefusedWithTheReason(uri: String, reason: String) {
        let error = #expect(throws: HarnessError.self) { try Self.target(option: uri, environment: [:]) }
        guard case .usage(let message)? = error else {
            Issue.record("no usage error: \(String(describing: error))")
            return
        }
        #expect(message.contains("--connect '\(uri)'") && message.contains(reason), "\(message)")
    }

    @Test func optionGoesBeforeTheVariableAndEmbeddedIsTheDefault() throws {
        let environment = ["LIBVIRT_DEFAULT_URI": "qemu:///system"]
        #expect(try Self.target(option: "qemu:///embed", environment: environment) == .embedded)
        #expect(try Self.target(option: nil, environment: ["LIBVIRT_DEFAULT_URI": ""]) == .embedded)
        #expect(try Self.target(option: nil, environment: [:]) == .embedded)
    }
}
