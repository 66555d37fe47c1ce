// SPDX-License-Identifier: Apache-2.0

extension Inspection {
    /// The most readings of a guest that runs.
    public static let readingLimit = 16

    /// Reads a guest that runs until two readings in a row say the same: what they say was there between them.
    ///
    /// - Parameter read: reads the guest anew. While the kernel is at work it may fail: an error counts when it comes twice.
    /// - Returns: the later one.
    /// - Throws: ``InspectionProblem/torn(readingCount:)``, what `read` throws twice in a row, or `CancellationError`.
    public static func settled(_ read: () async throws -> Inspection) async throws -> Inspection {
        var last: Result<Inspection, any Error>?
        for _ in 0..<readingLimit {
            let reading: Result<Inspection, any Error>
            do {
                reading = .success(try await read())
            } catch let error as CancellationError {
                throw error
            } catch {
                reading = .failure(error)
            }
            switch (last, reading) {
            case (.success(let earlier)?, .success(let later)) where earlier.snapshot == later.snapshot: return later
            case (.failure(let earlier)?, .failure(let later)) where "\(earlier)" == "\(later)": throw later
            default: last = reading
            }
        }
        throw InspectionProblem.torn(readingCount: readingLimit)
    }
}
