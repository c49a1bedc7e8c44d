"""An adapter's config: loosely typed fields, patterns of names, and what of LoRA is understood."""
