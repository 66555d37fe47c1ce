// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// What a report needs to be told beside the record. Only KCIDB has such things.
public struct ReportOptions: Equatable, Sendable {
    /// The name of the CI system that submits the report, as KernelCI knows it.
    public let origin: String
    /// The id of the build that was tested, as somebody has submitted it; nil where nobody has.
    public let buildID: String?

    /// What is taken where nothing is said.
    public static let standard = ReportOptions()

    private static let (originLimit, idLimit) = (64, 256)

    private init() { (origin, buildID) = ("qemu_harness", nil) }

    /// Takes options from a command line.
    ///
    /// - Throws: ``HarnessError`` for an origin other than 1 to 64 of `a-z`, `0-9` and `_`, and for a build's id that is not an
    ///   origin, a colon, and printable ASCII, 256 characters at most.
    public init(origin: String? = nil, buildID: String? = nil) throws {
        let origin = origin ?? Self.standard.origin
        guard Self.isOrigin(origin) else {
            throw HarnessError.usage(
                "--origin '\(ReportText.line(origin, limit: 80))' is not 1 to \(Self.originLimit) characters of a-z, 0-9 and _"
            )
        }
        if let buildID {
            let parts = buildID.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, Self.isOrigin(parts[0]), buildID.utf8.count <= Self.idLimit,
                buildID.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else {
                throw HarnessError.usage(
                    "--build-id '\(ReportText.line(buildID, limit: 80))' is not an origin, a colon and printable characters, "
                        + "\(Self.idLimit) at most, as in maestro:65f1e7")
            }
        }
        (self.origin, self.buildID) = (origin, buildID)
    }

    private static func isOrigin(_ text: some StringProtocol) -> Bool {
        (1...originLimit).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }
    }
}
