/** Something that was looked at on this machine. */
export interface Finding {
  readonly topic: string;
  readonly name: string;
  /** `off`: it does not work, and may be needed; `note`: neither. */
  readonly state: "works" | "off" | "note";
  readonly text: string;
  /** What would make it work. */
  readonly hint?: string;
}
