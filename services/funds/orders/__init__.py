"""Money orders (记账): how a room hands one act to the ledger's writer, whole, and gets the first answer again for the same key."""
