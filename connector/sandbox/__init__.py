"""The sandbox: a local vendor that checks requests and answers as the vendor would."""
